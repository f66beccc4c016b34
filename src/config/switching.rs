//! `[switching]`: when an agent is moved, and how often.

use std::time::Duration;

use super::reader::{Field, Section};
use crate::domain::duration;
use crate::domain::words::words;
use crate::machine::policy::{Budget, CooldownMax};

words! {
    /// How one of several eligible subscriptions is chosen.
    pub enum Strategy ("strategy") {
        /// The one with the fewest agents.
        LeastAssigned = "least_assigned",
    }
}

/// When an agent is moved, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switching {
    /// False: record and report, never act.
    pub enabled: bool,
    /// How a subscription is chosen.
    pub strategy: Strategy,
    /// The cooldown of a limit that states no reset.
    pub cooldown: Duration,
    /// The longest that a cooldown may last.
    pub cooldown_max: CooldownMax,
    /// A reset nearer than this is waited for.
    pub wait_out: Duration,
    /// For so long after a switch a report that names nothing is ambiguous.
    pub settle: Duration,
    /// How many switches an agent may make on its own.
    pub budget: Budget,
    /// At most so many agents are restarted at once.
    pub restarts_in_parallel: u32,
    /// The pause between two restarts that begin.
    pub splay: Duration,
    /// The most that a wake-up is spread by.
    pub jitter: Duration,
    /// How long a restarted agent may take to become ready.
    pub ready_timeout: Duration,
}

pub(super) const LATER: &[&str] = &["ramp", "proactive", "failback"];
const STRATEGIES_LATER: &[&str] = &["priority", "headroom", "soonest_reset"];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for Switching {
    fn default() -> Self {
        Self {
            enabled: true,
            strategy: Strategy::LeastAssigned,
            cooldown: HOUR * 2,
            cooldown_max: CooldownMax { five_hour: MINUTE * 330, weekly: HOUR * 180, other: DAY },
            wait_out: MINUTE * 2,
            settle: MINUTE,
            budget: Budget { switches: 6, per: HOUR },
            restarts_in_parallel: 8,
            splay: Duration::ZERO,
            jitter: SECOND * 30,
            ready_timeout: MINUTE,
        }
    }
}

pub(super) fn read(section: Field<Section<'_>>) -> Switching {
    let default = Switching::default();
    let Some(mut section) = section.good() else { return default };
    let findings = section.findings();
    let enabled = section.flag("enabled").unwrap_or(default.enabled);
    let strategy = section.text("strategy", "\"least_assigned\"").and_then(|text| {
        if STRATEGIES_LATER.contains(&text.value.as_str()) {
            let what = format!("strategy \"{}\" is not in this version", text.value);
            findings.error(&text.at, what, "this version has only \"least_assigned\"");
            return None;
        }
        super::reader::read_word::<Strategy>(&text, findings)
    });
    let cooldown = section.duration("cooldown", SECOND..=DAY * 40);
    let cooldown_max = read_cooldown_max(section.section("cooldown_max", &[], "{ other = \"24h\" }", false));
    if let Field::Good(cooldown) = &cooldown
        && cooldown.value > cooldown_max.other
    {
        let what = format!(
            "`cooldown` is {}, longer than `cooldown_max.other`, which is {}",
            duration::format(cooldown.value),
            duration::format(cooldown_max.other)
        );
        findings.error(&cooldown.at, what, "shorten the one or lengthen the other");
    }
    let wait_out = section.duration("wait_out", Duration::ZERO..=DAY);
    if let Field::Good(wait_out) = &wait_out
        && wait_out.value >= cooldown_max.five_hour
    {
        let what = format!(
            "`wait_out` is {}, not shorter than `cooldown_max.five_hour`, which is {}: no five-hour limit would ever \
             move an agent",
            duration::format(wait_out.value),
            duration::format(cooldown_max.five_hour)
        );
        findings.error(&wait_out.at, what, "a few minutes are usual");
    }
    let settle = section.duration("settle", Duration::ZERO..=HOUR);
    let budget = read_budget(section.section("budget", &[], "{ switches = 6, per = \"1h\" }", false));
    let restarts_in_parallel = section.number("restarts_in_parallel", 1..=1_000);
    let splay = section.duration("splay", Duration::ZERO..=HOUR);
    let jitter = section.duration("jitter", Duration::ZERO..=HOUR);
    let ready_timeout = section.duration("ready_timeout", SECOND..=HOUR);
    section.finish(false);
    Switching {
        enabled,
        strategy: strategy.unwrap_or(default.strategy),
        cooldown: cooldown.unwrap_or(default.cooldown),
        cooldown_max,
        wait_out: wait_out.unwrap_or(default.wait_out),
        settle: settle.unwrap_or(default.settle),
        budget,
        restarts_in_parallel: restarts_in_parallel.unwrap_or(default.restarts_in_parallel),
        splay: splay.unwrap_or(default.splay),
        jitter: jitter.unwrap_or(default.jitter),
        ready_timeout: ready_timeout.unwrap_or(default.ready_timeout),
    }
}

fn read_cooldown_max(section: Field<Section<'_>>) -> CooldownMax {
    let default = Switching::default().cooldown_max;
    let Some(mut section) = section.good() else { return default };
    let findings = section.findings();
    let five_hour = section.duration("five_hour", MINUTE..=DAY);
    let weekly = section.duration("weekly", MINUTE..=DAY * 40);
    let other = section.duration("other", SECOND..=DAY * 40);
    let at = section.at.clone();
    section.finish(false);
    let max = CooldownMax {
        five_hour: five_hour.unwrap_or(default.five_hour),
        weekly: weekly.unwrap_or(default.weekly),
        other: other.unwrap_or(default.other),
    };
    if max.weekly < max.five_hour {
        let what = format!(
            "`cooldown_max.weekly` is {}, shorter than `cooldown_max.five_hour`, which is {}",
            duration::format(max.weekly),
            duration::format(max.five_hour)
        );
        findings.error(&at, what, "a weekly window outlasts a five-hour one");
    }
    max
}

fn read_budget(section: Field<Section<'_>>) -> Budget {
    let default = Switching::default().budget;
    let Some(mut section) = section.good() else { return default };
    // More than the store reads back at a start would be forgotten by a restart.
    let most = u32::try_from(crate::domain::AgentRecord::BUDGET_MAX).unwrap_or(u32::MAX);
    let switches = section.number("switches", 1..=most);
    let per = section.duration("per", SECOND..=DAY * 7);
    section.finish(false);
    Budget { switches: switches.unwrap_or(default.switches), per: per.unwrap_or(default.per) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_strategy_is_no_word_of_this_version() {
        for word in STRATEGIES_LATER {
            assert!(word.parse::<Strategy>().is_err());
            assert_eq!(crate::config::keys::nearest(word, &["least_assigned"]), None);
        }
    }
}
