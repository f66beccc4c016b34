//! What to say about a key or word that is not known: the nearest one, its place, its version.

/// The title of the top level.
pub(super) const TOP: &str = "the top level";

/// Keys that are often put into the wrong section, and where they belong.
const HOMES: &[(&str, &str)] = &[
    ("socket", "[api]"),
    ("socket_mode", "[api]"),
    ("agent_sockets", "[api]"),
    ("format", "[log]"),
    ("filter", "[log]"),
    ("keep", "[history]"),
    ("size_max", "[history]"),
    ("host", "[docker]"),
    ("timeout", "[docker]"),
    ("enabled", "[switching]"),
    ("strategy", "[switching]"),
    ("cooldown", "[switching]"),
    ("cooldown_max", "[switching]"),
    ("wait_out", "[switching]"),
    ("settle", "[switching]"),
    ("budget", "[switching]"),
    ("restarts_in_parallel", "[switching]"),
    ("splay", "[switching]"),
    ("ramp", "[switching]"),
    ("reading_max_age", "[switching]"),
    ("proactive", "[switching]"),
    ("dwell", "`proactive` of [switching]"),
    ("better_by", "`proactive` of [switching]"),
    ("failback", "[switching]"),
    ("switches", "`budget` of [switching]"),
    ("jitter", "[switching]"),
    ("ready_timeout", "[switching]"),
    ("state_dir", TOP),
    ("provider", "[[subscription]]"),
    ("credential", "[[subscription]]"),
    ("agents_max", "[[subscription]]"),
    ("quota_identity", "[[subscription]]"),
    ("priority", "[[subscription]]"),
    ("reserve", "[[subscription]]"),
    ("metered", "[[subscription]]"),
    ("max_utilization", "[[subscription]]"),
    ("models", "[[agent]] or [[subscription]]"),
    ("tool", "[[agent]]"),
    ("container", "[[agent]]"),
    ("process", "[[agent]]"),
    ("delivery", "[[agent]]"),
    ("apply", "`delivery`"),
    ("owner", "`delivery`"),
    ("mode", "`delivery`"),
    ("drain", "[[agent]]"),
    ("stop_grace", "[[agent]]"),
    ("text", "[[agent]]"),
    ("turns", "[[agent]]"),
    ("sessions_max", "`turns`"),
    ("lease", "`turns`"),
    ("cancel_ack", "`turns`"),
    ("fence", "`turns`"),
    ("webhook", "[[notify]]"),
    ("events", "[[notify]]"),
    ("ntfy", "[[notify]]"),
    ("template", "[[notify]]"),
    ("content", "[[notify]]"),
    ("severity", "[[notify]]"),
    ("per_hour", "[[notify]]"),
    ("when", "[[rule]]"),
    ("kind", "[[rule]]"),
    ("scope", "[[rule]]"),
    ("reset", "[[rule]]"),
    ("trust", "[[rule]]"),
    ("json", "`when` of [[rule]]"),
    ("line", "`when` of [[rule]]"),
    ("status", "`when` of [[rule]]"),
    ("says", "`when` of [[rule]]"),
];

/// The candidate that was probably meant.
pub(super) fn nearest<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase().replace(['-', ' '], "_");
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&given, &candidate.replace('-', "_")), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to say about an unknown key.
pub(super) fn hint(key: &str, title: &str, known: &[&str], later: &[&str]) -> String {
    if later.contains(&key) {
        return "not in this version".to_owned();
    }
    if let Some(near) = nearest(key, known) {
        return format!("did you mean `{near}`?");
    }
    if let Some((_, home)) = HOMES.iter().find(|(name, home)| *name == key && *home != title) {
        return format!("`{key}` belongs into {home}");
    }
    if let Some(near) = nearest(key, later) {
        return format!("`{near}` is not in this version");
    }
    if known.is_empty() { String::new() } else { format!("known keys: {}", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["cooldown", "cooldown_max", "wait_out"];
        assert_eq!(nearest("cooldwn", &known), Some("cooldown"));
        assert_eq!(nearest("wait-out", &known), Some("wait_out"));
        assert_eq!(nearest("telemetry", &known), None);
    }

    #[test]
    fn a_key_in_the_wrong_place_is_sent_home() {
        assert_eq!(hint("cooldown", TOP, &["state_dir"], &[]), "`cooldown` belongs into [switching]");
        assert_eq!(hint("ramp", "[switching]", &["jitter"], &["ramp"]), "not in this version");
        assert_eq!(hint("apply", "[[agent]] \"a\"", &["tool"], &[]), "`apply` belongs into `delivery`");
        assert_eq!(hint("zzz", TOP, &["state_dir"], &[]), "known keys: state_dir");
    }
}
