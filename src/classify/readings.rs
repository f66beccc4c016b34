//! How far windows are used up, wherever that is said: in a tool's own records, and in the headers of an answer.
//!
//! | from | windows | used up | begins anew |
//! |---|---|---|---|
//! | Claude Code, `rate_limit_event` | `rateLimitType`, and each of `unifiedWindows` | `utilization`, a share of 1 | `resetsAt` |
//! | Codex, `token_count` | `rate_limits.primary`, `.secondary`, by `window_minutes` | `used_percent` | `resets_at`, `resets_in_seconds` |
//! | headers `anthropic-ratelimit-unified-…` | `5h`, `7d`, `7d_MODEL` | `-utilization`, a share of 1 | `-reset` |
//! | headers `x-codex-primary-…`, `-secondary-…` | by `-window-minutes` | `-used-percent` | `-reset-at`, `-reset-after-seconds` |
//!
//! What is not said stays unsaid: no utilisation is not zero. Of a record only the places where the tool itself writes
//! count; a copy in what an agent talks about stands further down, or in a text. It must not say more than was said:
//!
//! - a window whose reset has passed is void: it was about a window that has ended since;
//! - a window of a model that is not named could be anybody's, and is left out; so is a limit beside the plan's own;
//! - where the plan itself refuses, nothing is said of the windows that do not: they were not what decided;
//! - a window of a length that has no name speaks only when it is full, and then of the subscription as a whole.
//!
//! Tests: `classify/readings_tests.rs`.

use serde_json::Value;

use super::context::Context;
use super::reset_time;
use super::said::WindowReading;
use super::windows::window_named;
use crate::domain::{Model, Tool, Utilisation, Wall, Window};

/// From so much on a window is used up.
const FULL_PERCENT: f64 = 100.0;

/// Lengths of windows in minutes, and how far one may be off: some versions tell one minute less.
const LENGTHS: [(f64, Window); 2] = [(300.0, Window::FiveHour), (10_080.0, Window::Weekly)];
const LENGTH_OFF: f64 = 1.5;

const UNIFIED: &str = "anthropic-ratelimit-unified-";
const CODEX: &str = "x-codex-";

/// More windows than this nobody has; what is beyond is left out.
const WINDOWS_MAX: usize = 12;

/// What one of a tool's records says of windows: nothing, almost always.
#[must_use]
pub fn of_record(record: &Value, context: &Context) -> Vec<WindowReading> {
    let claude_code = || of_claude_code(record, context);
    let codex = || of_codex(record, context);
    let readings = match context.tool {
        Some(Tool::ClaudeCode) => claude_code(),
        Some(Tool::Codex) => codex(),
        Some(Tool::Custom) | None => claude_code().or_else(codex),
        Some(Tool::GeminiCli | Tool::Opencode | Tool::Aider) => None,
    };
    weighed(readings.unwrap_or_default())
}

/// What the headers of an answer say of windows. Names in any case.
#[must_use]
pub fn of_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, context: &Context) -> Vec<WindowReading> {
    let headers: Vec<(String, &str)> = headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .filter(|(name, _)| name.starts_with(UNIFIED) || name.starts_with(CODEX))
        .collect();
    let mut readings = of_unified(&headers, context);
    readings.extend(of_slots(&headers, context));
    weighed(readings)
}

/// Leaves out what says more than was meant: where the plan itself refuses, the windows that do not.
fn weighed(mut readings: Vec<WindowReading>) -> Vec<WindowReading> {
    if readings.iter().any(|reading| !reading.serves && reading.model.is_none()) {
        readings.retain(|reading| !reading.serves);
    }
    readings.truncate(WINDOWS_MAX);
    readings
}

/// When a window begins anew, as it was said.
enum Reset {
    Unsaid,
    At(Wall),
    /// It has begun anew since, or that time can be none.
    Void,
}

impl Reset {
    fn of<T>(said: Option<T>, now: Wall, read: impl FnOnce(T) -> Option<Wall>) -> Self {
        match said {
            None => Self::Unsaid,
            // Just past is past: the window has begun anew.
            Some(said) => read(said).filter(|at| *at > now).map_or(Self::Void, Self::At),
        }
    }

    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::Unsaid) { other() } else { self }
    }

    /// The reading with its reset, if that was said; `None` if its window is void.
    fn dates(&self, reading: WindowReading) -> Option<WindowReading> {
        match self {
            Self::Unsaid => Some(reading),
            Self::At(at) => Some(WindowReading { reset_at: Some(*at), ..reading }),
            Self::Void => None,
        }
    }
}

/// What was said of a window, without its reset.
fn undated((window, model): (Window, Option<Model>), utilisation: Option<Utilisation>, serves: bool) -> WindowReading {
    WindowReading { window, model, utilisation, serves, reset_at: None }
}

/// A member that is there; null is not.
fn said<'a>(table: &'a Value, key: &str) -> Option<&'a Value> {
    table.get(key).filter(|value| !value.is_null())
}

/// A share of a window: 0 to 1, in some versions as a whole number.
fn share(value: Option<f64>) -> Option<Utilisation> {
    Utilisation::from_percent(value? * 100.0)
}

/// The window of this name; `None` if it has none, or is one of models that are not named.
fn named(name: &str) -> Option<(Window, Option<Model>)> {
    window_named(name).filter(|(window, model)| *window != Window::Model || model.is_some())
}

/// The records that Claude Code writes about its limits.
///
/// Source: the stream of `claude -p --output-format stream-json`, versions of 2025 and 2026; `unifiedWindows` came later.
fn of_claude_code(record: &Value, context: &Context) -> Option<Vec<WindowReading>> {
    if record.get("type")?.as_str()? != "rate_limit_event" {
        return None;
    }
    let info = record.get("rate_limit_info")?;
    let is_rejected = match info.get("status")?.as_str()? {
        "allowed" | "allowed_warning" => false,
        "rejected" => true,
        _ => return None,
    };
    // Served for money beside the plan: nothing is said of whether the plan serves.
    let is_beside = !is_rejected && info.get("isUsingOverage").and_then(Value::as_bool) == Some(true);
    let reset = |of: &Value| Reset::of(said(of, "resetsAt"), context.at, |value| reset_time::member(value, context.at));
    let used = |of: &Value| share(said(of, "utilization").and_then(Value::as_f64));
    let about = info.get("rateLimitType").and_then(Value::as_str);
    let mut readings = Vec::new();
    let windows = info.get("unifiedWindows").and_then(Value::as_object);
    for (name, told) in windows.into_iter().flatten().filter(|(_, told)| told.is_object()) {
        let is_about = about == Some(name.as_str());
        let utilisation = used(told);
        let is_full = utilisation.is_some_and(|used| used >= Utilisation::FULL);
        // Of several that are full the event names one.
        let serves = !(is_rejected && (is_about || is_full));
        // Without a number and without being named it says nothing.
        let says_nothing = utilisation.is_none() && !is_about;
        if says_nothing || is_beside && is_full {
            continue;
        }
        let stated = if is_about { reset(told).or(|| reset(info)) } else { reset(told) };
        readings.extend(named(name).and_then(|of| stated.dates(undated(of, utilisation, serves))));
    }
    // The one that it is about, where the windows leave it out.
    if let Some(name) = about
        && !windows.is_some_and(|windows| windows.contains_key(name))
        && !is_beside
    {
        readings.extend(named(name).and_then(|of| reset(info).dates(undated(of, used(info), !is_rejected))));
    }
    // The plan refused, and does not say which window: then none of them proves that it serves.
    if is_rejected && about.is_none() {
        readings.retain(|reading| !reading.serves);
    }
    Some(readings)
}

/// The counts that Codex writes after an answer.
///
/// Source: rollout files and `codex exec --json`, 2025 and 2026. The slot does not tell the window: a free plan has one of
/// thirty days in the first.
fn of_codex(record: &Value, context: &Context) -> Option<Vec<WindowReading>> {
    // A rollout wraps the event as `payload`, older output as `msg`.
    let event = match record.get("type").and_then(Value::as_str) {
        Some("event_msg") => record.get("payload")?,
        Some(_) => record,
        None => record.get("msg")?,
    };
    if event.get("type")?.as_str()? != "token_count" {
        return None;
    }
    let limits = said(event, "rate_limits")?;
    // Others are limits of single models or features, beside the plan's own.
    if said(limits, "limit_id").and_then(Value::as_str).is_some_and(|id| id != "codex") {
        return None;
    }
    // Relative times count from the event, which may have been written long before it is read.
    let written_at = record.get("timestamp").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let event_at = written_at.map_or(context.at, |at: jiff::Timestamp| Wall(at.as_millisecond()).min(context.at));
    let readings = ["primary", "secondary"].into_iter().filter_map(|slot| {
        let told = said(limits, slot)?;
        let number = |key| said(told, key).and_then(Value::as_f64);
        let reset =
            Reset::of(said(told, "resets_at"), context.at, |value| reset_time::member(value, context.at)).or(|| {
                let relative = |seconds| reset_time::seconds(seconds, event_at);
                Reset::of(number("resets_in_seconds"), context.at, relative)
            });
        slot_reading(number("used_percent"), number("window_minutes"), &reset)
    });
    Some(readings.collect())
}

/// A window that is told by its length. Full is refused: the next request is.
fn slot_reading(percent: Option<f64>, minutes: Option<f64>, reset: &Reset) -> Option<WindowReading> {
    let percent = percent?;
    let utilisation = Utilisation::from_percent(percent)?;
    let serves = percent < FULL_PERCENT;
    let named = minutes.and_then(|minutes| LENGTHS.iter().find(|(length, _)| (length - minutes).abs() < LENGTH_OFF));
    match named {
        Some((_, window)) => reset.dates(undated((*window, None), Some(utilisation), serves)),
        // The share of a window without a name is not that of the whole; that it is full is about all of it.
        None if serves => None,
        None => reset.dates(undated((Window::Unknown, None), None, serves)),
    }
}

fn header<'a>(headers: &[(String, &'a str)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// The windows of a plan, as the provider tells them with every answer to a plan's token.
///
/// Source: public reports of the headers of `/v1/messages`, 2025 and 2026.
fn of_unified(headers: &[(String, &str)], context: &Context) -> Vec<WindowReading> {
    let of = |name: &str, what: &str| header(headers, &format!("{UNIFIED}{name}-{what}"));
    let reset = |name: &str| Reset::of(of(name, "reset"), context.at, |text| reset_time::stated(text, context.at));
    let is_rejected = |status: Option<&str>| status == Some("rejected");
    let overall = header(headers, &format!("{UNIFIED}status"));
    let mut names: Vec<&str> = headers
        .iter()
        .filter_map(|(name, _)| {
            let name = name.strip_prefix(UNIFIED)?;
            name.strip_suffix("-utilization").or_else(|| name.strip_suffix("-status"))
        })
        .filter(|name| named(name).is_some())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut readings = Vec::new();
    for name in names {
        let (status, utilisation) =
            (of(name, "status"), share(of(name, "utilization").and_then(|text| text.parse().ok())));
        let is_full = utilisation.is_some_and(|used| used >= Utilisation::FULL);
        let serves = match (status, overall) {
            // Used up, and served all the same, for money beside the plan: it is not said that the window serves.
            (Some("rejected"), Some("allowed" | "allowed_warning")) => continue,
            (Some("rejected"), _) => false,
            (Some("allowed" | "allowed_warning"), _) => true,
            // A word that is not known, or none: what the whole says holds for what is full.
            (Some(_), _) => continue,
            (None, overall) if is_full => !is_rejected(overall),
            (None, _) => true,
        };
        readings.extend(named(name).and_then(|of| reset(name).dates(undated(of, utilisation, serves))));
    }
    let has_claim = |readings: &[WindowReading]| readings.iter().any(|reading| !reading.serves);
    if is_rejected(overall) && !has_claim(&readings) {
        // The whole refuses, and no window of its own account does: the claim names the one that decided.
        readings.clear();
        let claim = header(headers, &format!("{UNIFIED}representative-claim"));
        let refusing = match claim.map(|claim| (claim_of_beside(claim), named(claim))) {
            None => Some((Window::Unknown, None)),
            Some((true, _)) => None,
            Some((false, window)) => window,
        };
        let stated = Reset::of(header(headers, &format!("{UNIFIED}reset")), context.at, |text| {
            reset_time::stated(text, context.at)
        });
        readings.extend(refusing.and_then(|of| stated.dates(undated(of, None, false))));
    }
    readings
}

/// Whether a claim is about what is paid beside the plan.
fn claim_of_beside(claim: &str) -> bool {
    claim.contains("overage")
}

/// Whether a window of the plan is used up by what an answer says, so that something else must have paid for it if it
/// served.
pub(super) fn is_plan_used_up(headers: &[(String, String)]) -> bool {
    let is_window = |name: &str| named(name).is_some_and(|(window, _)| window != Window::Model);
    headers.iter().any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let of =
            |what: &str| name.strip_prefix(UNIFIED).and_then(|name| name.strip_suffix(what)).is_some_and(is_window);
        let is_full = || value.trim().parse().is_ok_and(|share: f64| share >= 1.0);
        of("-status") && value.trim() == "rejected" || of("-utilization") && is_full()
    })
}

/// Whether headers are those with which a provider tells of a plan.
pub(super) fn speaks_of_a_plan(headers: &[(String, String)]) -> bool {
    let names = headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    names.into_iter().any(|name| name.starts_with(UNIFIED) || name.starts_with(CODEX))
}

/// The windows that Codex' provider tells.
fn of_slots(headers: &[(String, &str)], context: &Context) -> Vec<WindowReading> {
    let slots = ["primary", "secondary"].into_iter().filter_map(|slot| {
        let number = |what: &str| header(headers, &format!("{CODEX}{slot}-{what}")).and_then(|text| text.parse().ok());
        let at = header(headers, &format!("{CODEX}{slot}-reset-at"));
        let after =
            || Reset::of(number("reset-after-seconds"), context.at, |seconds| reset_time::seconds(seconds, context.at));
        let reset = Reset::of(at, context.at, |text| reset_time::stated(text, context.at)).or(after);
        slot_reading(number("used-percent"), number("window-minutes"), &reset)
    });
    slots.collect()
}
