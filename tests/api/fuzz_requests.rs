//! Every request with a body: what its document can be, and what an answer to it must say.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use switchman::api::v1::time::Time;
use switchman::api::v1::wire;
use switchman::domain::{Wall, duration};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;

use super::client::Reply;
use super::fuzz::{Scene, of_holder};
use super::fuzz_documents::Json;

/// A request with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Begin,
    Complete,
    Cancel,
    Report,
    Switch,
    Pause,
    Pin,
    Cool,
    Read,
}

const REPORT: &[&str] = &[
    "id",
    "kind",
    "evidence",
    "subscription",
    "generation",
    "turn",
    "model",
    "scope",
    "reset_at",
    "retry_after_s",
    "observed_at",
    "reporter",
];

const KINDS: &[&str] =
    &["rate_limit", "auth", "billing", "entitlement", "banned", "overload", "network", "killed", "request", "unknown"];

impl Request {
    pub(crate) const ALL: [Self; 9] = [
        Self::Begin,
        Self::Complete,
        Self::Cancel,
        Self::Report,
        Self::Switch,
        Self::Pause,
        Self::Pin,
        Self::Cool,
        Self::Read,
    ];

    /// Method and path; the turn that it is about is the one that the scene has.
    pub(crate) fn line(self) -> (&'static str, &'static str) {
        match self {
            Self::Begin => ("POST", "/v1/agents/one/turns"),
            Self::Complete => ("POST", "/v1/turns/one-t1/complete"),
            Self::Cancel => ("POST", "/v1/turns/one-t1/cancel"),
            Self::Report => ("POST", "/v1/agents/one/failures"),
            Self::Switch => ("POST", "/v1/agents/one/switch"),
            Self::Pause => ("POST", "/v1/agents/one/pause"),
            Self::Pin => ("PUT", "/v1/agents/one/pin"),
            Self::Cool => ("PUT", "/v1/subscriptions/b/cooldown"),
            Self::Read => ("POST", "/v1/subscriptions/b/readings"),
        }
    }

    /// The members of its document.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Begin => &["session", "class", "holder", "on_busy", "wait_s", "preempt", "after", "key"],
            Self::Complete => &["result", "failure"],
            Self::Cancel => &["by", "reason"],
            Self::Report => REPORT,
            Self::Switch => &["to", "reason", "dry_run", "force"],
            Self::Pause | Self::Cool => &["until", "for"],
            Self::Pin => &["subscription"],
            Self::Read => &["window", "model", "utilisation", "serves", "reset_at", "at"],
        }
    }

    /// Documents that are taken, whatever was asked before.
    pub(crate) fn valid(self) -> BoxedStrategy<Json> {
        match self {
            Self::Begin => begin(),
            Self::Complete => document(vec![("result", words(&["ok", "failed"]))], vec![("failure", report(REPORT))]),
            Self::Cancel => document(vec![], vec![("by", text(256)), ("reason", text(256))]),
            Self::Report => report(REPORT),
            Self::Switch => {
                let optional = vec![
                    ("to", words(&["b", "c"])),
                    ("reason", text(100)),
                    ("dry_run", words_raw(&["true", "false"])),
                    ("force", words_raw(&["true", "false"])),
                ];
                document(vec![], optional)
            }
            Self::Pause => prop_oneof![document(vec![], vec![]), document(vec![until()], vec![]), span()].boxed(),
            Self::Pin => document(vec![("subscription", words(&["a", "b", "c"]))], vec![]),
            Self::Cool => prop_oneof![document(vec![until()], vec![]), span()].boxed(),
            Self::Read => reading(),
        }
    }

    /// What was taken says what the document said, and is so.
    pub(crate) async fn check(self, scene: &Scene, body: &[u8], reply: &Reply) {
        match self {
            Self::Begin => check_begun(scene, body, reply).await,
            Self::Complete => check_completed(scene, body, reply).await,
            Self::Cancel => check_cancelled(scene, body, reply).await,
            Self::Report => {
                assert!([200, 202].contains(&reply.status), "{reply:?}");
                check_report(scene, &read(body), &whole(reply)).await;
            }
            Self::Switch => check_switch(scene, body, reply).await,
            Self::Pause => {
                let (asked, agent): (wire::PauseRequest, wire::Agent) = (read(body), whole(reply));
                assert!(reply.status == 200 && agent.paused);
                assert_eq!(agent.paused_until.is_some(), asked.until.is_some() || asked.for_.is_some());
                let is_meant = |at| is_ahead(at) && is_the_end(at, asked.until, asked.for_.as_deref());
                assert!(agent.paused_until.is_none_or(is_meant), "{asked:?}: {:?}", agent.paused_until);
            }
            Self::Pin => {
                let (asked, agent): (wire::PinRequest, wire::Agent) = (read(body), whole(reply));
                assert_eq!((reply.status, agent.pinned), (200, Some(asked.subscription)));
            }
            Self::Cool => {
                let (asked, b): (wire::CooldownRequest, wire::Subscription) = (read(body), whole(reply));
                let until = b.cooldown.expect("it cools").until.expect("for a time");
                assert!(reply.status == 200 && !b.eligible);
                assert!(is_ahead(until) && is_the_end(until, asked.until, asked.for_.as_deref()), "{asked:?}: {until}");
            }
            Self::Read => check_read(&read(body), &whole(reply)),
        }
    }
}

/// The one or two names of a session, in no order; `None` if it is none.
pub(crate) fn names(session: &Value) -> Option<BTreeSet<&str>> {
    let is_name = |name: &&str| {
        (1..=128).contains(&name.chars().count()) && !name.chars().any(|char| char.is_control() || char == ',')
    };
    let names: Vec<&str> = match session {
        Value::Array(names) if names.len() == 2 => names.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let set: BTreeSet<&str> = names.iter().copied().filter(is_name).collect();
    (!set.is_empty() && set.len() == names.len()).then_some(set)
}

/// When something ends that was asked for with `until` or `for`; a little later, for time goes by.
fn is_the_end(at: Time, until: Option<Time>, span: Option<&str>) -> bool {
    let now = SystemClock::new().now().wall;
    let end = span.map(|span| now.plus(duration::parse(span).expect("it was taken")));
    until.is_none_or(|until| until == at) && end.is_none_or(|end| (end.minus(MINUTE)..=end).contains(&at.0))
}

const MINUTE: Duration = Duration::from_secs(60);

/// What somebody calls himself.
fn is_plain(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Whether it is later than now, and by 366 days at most. What was checked a moment ago may have come since.
fn is_ahead(at: Time) -> bool {
    let now = SystemClock::new().now().wall;
    (now.minus(MINUTE)..=now.plus(Duration::from_secs(366 * 86_400))).contains(&at.0)
}

/// A document that was taken can be read by whoever knows its type.
fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    let is_empty = body.iter().all(u8::is_ascii_whitespace);
    let read = serde_json::from_slice(if is_empty { b"{}" } else { body });
    read.unwrap_or_else(|error| panic!("taken, and cannot be read: {error}"))
}

/// An answer is of its type, and the type loses nothing of it.
pub(crate) fn whole<T: DeserializeOwned + Serialize>(reply: &Reply) -> T {
    let document = reply.json();
    let read: T = serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{error}: {reply:?}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), document);
    read
}

async fn check_begun(scene: &Scene, body: &[u8], reply: &Reply) {
    let (asked, begun): (wire::BeginTurn, wire::BegunTurn) = (read(body), whole(reply));
    let (turn, token) = (begun.turn, begun.lease_token);
    assert_eq!((reply.status, turn.agent.as_str(), &*turn.state), (201, "one", "granted"));
    assert!(names(&serde_json::from_slice::<Value>(body).unwrap()["session"]).is_some(), "{asked:?}");
    assert_eq!(
        names(&serde_json::to_value(&turn.session).unwrap()),
        names(&serde_json::to_value(&asked.session).unwrap())
    );
    assert!(asked.holder.as_deref().is_none_or(is_plain), "{asked:?}");
    assert!(asked.key.as_ref().is_none_or(|key| (1..=200).contains(&key.len())), "{asked:?}");
    let is_queued = asked.on_busy.is_some_and(|on_busy| on_busy.0 == wire::OnBusy::Queue);
    assert!(asked.wait_s.is_none_or(|wait| is_queued && (0.0..=3600.0).contains(&wait)), "{asked:?}");
    let is_pushed = asked.preempt == Some(true);
    assert!(!is_pushed || (is_queued && &*turn.class == "interactive"), "{asked:?}");
    assert_eq!(asked.after, None, "nothing was completed that it could come after");
    assert_eq!(&*turn.class, asked.class.map_or("interactive", |class| class.0.as_str()));
    assert!(asked.holder.as_ref().map_or(turn.holder.starts_with("uid "), |holder| *holder == turn.holder));
    let shown: wire::Turn = whole(&scene.rig.get(&format!("/v1/turns/{}", turn.id)).await);
    assert_eq!((&shown.session, &shown.holder, &shown.class), (&turn.session, &turn.holder, &turn.class));
    if asked.key.is_some() {
        let again: wire::BegunTurn = whole(&scene.send(Request::Begin, body).await);
        assert_eq!((again.turn.id, &again.lease_token), (turn.id.clone(), &token));
    }
    let ended = of_holder(&scene.rig, &format!("/v1/turns/{}/complete", turn.id), &token, br#"{"result":"ok"}"#).await;
    assert_eq!(ended.status, 200, "{ended:?}");
}

async fn check_completed(scene: &Scene, body: &[u8], reply: &Reply) {
    let (asked, completed): (wire::CompleteTurn, wire::CompletedTurn) = (read(body), whole(reply));
    let state = if asked.result.0 == wire::TurnResult::Ok { "complete" } else { "failed" };
    assert_eq!((reply.status, completed.turn.id.as_str(), &*completed.turn.state), (200, "one-t1", state));
    let shown: wire::Turn = whole(&scene.rig.get("/v1/turns/one-t1").await);
    assert_eq!((&*shown.state, shown.ended_at.is_some()), (state, true));
    assert_eq!(asked.failure.is_some(), completed.failure.is_some());
    if let (Some(asked), Some(answer)) = (asked.failure, completed.failure) {
        check_report(scene, &asked, &answer).await;
    }
}

async fn check_cancelled(scene: &Scene, body: &[u8], reply: &Reply) {
    let (asked, about): (wire::CancelTurn, wire::AboutTurn) = (read(body), whole(reply));
    assert!([&asked.by, &asked.reason].into_iter().flatten().all(|text| is_plain(text)), "{asked:?}");
    let request = about.turn.cancel_requested.expect("it is asked to stop");
    assert_eq!((reply.status, &*about.turn.state), (202, "cancelling"));
    assert!(asked.by.is_none_or(|by| request.by.starts_with(&by)), "{request:?}");
    assert!(asked.reason.is_none_or(|reason| request.by.ends_with(&format!(": {reason}"))), "{request:?}");
    let beaten: wire::Beaten = whole(&of_holder(&scene.rig, "/v1/turns/one-t1/heartbeat", &scene.token, b"").await);
    assert_eq!(beaten.cancel_requested.map(|told| told.id), Some(request.id));
}

async fn check_report(scene: &Scene, asked: &wire::FailureReport, answer: &wire::ReportAnswer) {
    assert_eq!((answer.agent.as_str(), answer.duplicate), ("one", false));
    assert!(asked.id.as_ref().is_none_or(|id| (1..=200).contains(&id.len())), "{asked:?}");
    let is_model = |text: &String| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte))
    };
    assert!(asked.model.as_ref().is_none_or(is_model), "{asked:?}");
    assert!(asked.retry_after_s.is_none_or(|seconds| (0.0..=40.0 * 86_400.0).contains(&seconds)), "{asked:?}");
    let status = asked.evidence.as_ref().and_then(|evidence| evidence.status);
    assert!(status.is_none_or(|status| (100..=599).contains(&status)), "{asked:?}");
    assert!(asked.kind.is_none_or(|kind| answer.kind == kind.0.as_str()), "{answer:?}");
    let list: wire::FailureList = whole(&scene.rig.get("/v1/failures?agent=one").await);
    let record = list.failures.first().expect("it is recorded");
    assert_eq!(Some(&record.id), answer.failure.as_ref());
    assert_eq!((&record.kind, record.count), (&answer.kind, 1));
    assert_eq!(record.report_id, asked.id);
    assert!(asked.subscription.is_none() || record.subscription == asked.subscription, "{record:?}");
    assert!(asked.generation.is_none() || record.generation == asked.generation, "{record:?}");
    assert!(asked.turn.is_none() || record.turn == asked.turn, "{record:?}");
    assert!(asked.model.is_none() || record.model == asked.model, "{record:?}");
    assert!(asked.scope.is_none_or(|scope| record.scope == scope.0.as_str()), "{record:?}");
    let now = SystemClock::new().now().wall;
    let seen_at = asked.observed_at.map_or(now, |at| at.0.min(now));
    let after = asked.retry_after_s.map(|seconds| seen_at.plus(Duration::from_secs_f64(seconds)));
    let stated = asked.reset_at.map(|at| at.0).max(after);
    let is_stated = |at: Wall| record.reset_at.is_some_and(|reset| (at.minus(MINUTE)..=at).contains(&reset.0));
    assert!(stated.is_none_or(is_stated), "{asked:?}: {record:?}");
    assert!(asked.reporter.is_none_or(|reporter| record.reporter == reporter.0.as_str()), "{record:?}");
    assert_eq!(record.observed_at, asked.observed_at);
}

async fn check_switch(scene: &Scene, body: &[u8], reply: &Reply) {
    let asked: wire::SwitchRequest = read(body);
    assert!(asked.reason.as_ref().is_none_or(|reason| reason.len() <= 500), "{asked:?}");
    if asked.dry_run == Some(true) {
        let explained: wire::Explanation = whole(reply);
        assert_eq!((reply.status, explained.agent.as_str()), (200, "one"));
        let history: wire::SwitchList = whole(&scene.rig.get("/v1/switches?agent=one").await);
        assert_eq!(history.switches, [], "nothing was done");
        return;
    }
    let switch: wire::Switch = whole(reply);
    assert_eq!((reply.status, switch.agent.as_str(), &*switch.cause.by), (202, "one", "operator"));
    assert!(asked.to.is_none_or(|to| to == switch.to));
    let reason = switch.cause.reason.expect("who it was");
    assert!(asked.reason.is_none_or(|asked| reason.starts_with(&format!("{asked} (uid "))), "{reason}");
}

fn check_read(asked: &wire::ReadingRequest, b: &wire::Subscription) {
    let [reading] = b.readings.as_slice() else { panic!("not one reading: {:?}", b.readings) };
    assert_eq!((&*reading.window, &*reading.source), (asked.window.0.as_str(), "reporter"));
    assert_eq!((&reading.model, reading.reset_at), (&asked.model, asked.reset_at));
    assert_eq!(reading.serves, asked.serves.unwrap_or(true));
    // To a tenth of a percent.
    let is_near = |(shown, said): (f64, f64)| (shown - said).abs() <= 0.051 && (0.0..=1000.0).contains(&said);
    assert_eq!(reading.utilisation.is_some(), asked.utilisation.is_some());
    assert!(reading.utilisation.zip(asked.utilisation).is_none_or(is_near), "{asked:?}: {reading:?}");
    let now = SystemClock::new().now().wall;
    let day = Duration::from_secs(86_400);
    assert!((now.minus(day + MINUTE)..=now).contains(&reading.at.0), "{asked:?}: {reading:?}");
    let seconds = Duration::from_secs(10);
    assert!(asked.at.is_none_or(|at| at.0.minus(seconds) <= reading.at.0 && reading.at.0 <= at.0), "{asked:?}");
}

fn reading() -> BoxedStrategy<Json> {
    let now = SystemClock::new().now().wall;
    let time = |wall: Wall| Json::text(&Time(wall).to_string());
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let optional = vec![
        ("model", "[a-z0-9._:/@-]{1,30}".prop_map(|model| Json::text(&model)).boxed()),
        ("utilisation", words_raw(&["0", "42.5", "99.99", "1e2", "1000"])),
        ("serves", words_raw(&["true", "false"])),
        ("reset_at", (5_u64..57_000).prop_map(move |ahead| time(now.plus(minutes(ahead)))).boxed()),
        ("at", (0_u64..1400).prop_map(move |back| time(now.minus(minutes(back)))).boxed()),
    ];
    document(vec![("window", words(&["five_hour", "weekly", "model", "unknown"]))], optional)
}

/// Members in any order: all that are needed, and some of the others, which may be there and empty.
fn document(
    required: Vec<(&'static str, BoxedStrategy<Json>)>,
    optional: Vec<(&'static str, BoxedStrategy<Json>)>,
) -> BoxedStrategy<Json> {
    let null = || Just(Json::Raw("null".to_owned()));
    let required = required.into_iter().map(|(name, value)| value.prop_map(move |value| Some((name, value))).boxed());
    let optional = optional.into_iter().map(|(name, value)| {
        let value = prop_oneof![6 => value, 1 => null()].prop_map(move |value| (name, value));
        prop::option::of(value).boxed()
    });
    let parts: Vec<BoxedStrategy<Option<(&'static str, Json)>>> = required.chain(optional).collect();
    let members = parts.prop_map(|parts| {
        let members = parts.into_iter().flatten();
        members.map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>()
    });
    members.prop_shuffle().prop_map(Json::Object).boxed()
}

fn begin() -> BoxedStrategy<Json> {
    let name = || prop_oneof![select(&["x", "y", "chat 1"][..]).prop_map(str::to_owned), "[^,\\p{Cc}]{1,30}"];
    let pair = (name(), name()).prop_filter("two names", |(one, other)| one != other);
    let session = prop_oneof![
        3 => name().prop_map(|name| Json::text(&name)),
        1 => pair.prop_map(|(one, other)| Json::List(vec![Json::text(&one), Json::text(&other)])),
    ];
    let session = session.boxed();
    let class = || words(&["interactive", "background"]);
    let key = prop_oneof![select(&["k1", "k2"][..]).prop_map(str::to_owned), "\\PC{1,40}"];
    let key = key.prop_map(|key| Json::text(&key)).boxed();
    let refused = vec![
        ("class", class()),
        ("holder", text(256)),
        ("on_busy", words(&["reject"])),
        ("preempt", words_raw(&["false"])),
        ("key", key.clone()),
    ];
    let wait = prop_oneof![words_raw(&["0", "1", "60", "3600", "0.25", "1e1"])].boxed();
    let queued = vec![("class", class()), ("holder", text(256)), ("wait_s", wait), ("key", key)];
    let pushed = vec![("class", words(&["interactive"])), ("preempt", words_raw(&["true", "false"]))];
    let queue = || ("on_busy", words(&["queue"]));
    prop_oneof![
        document(vec![("session", session.clone())], refused),
        document(vec![("session", session.clone()), queue()], queued),
        document(vec![("session", session), queue()], pushed),
    ]
    .boxed()
}

/// A report with its kind, some of its other members, and some evidence. The agent runs on `a`, generation 1.
fn report(names: &[&str]) -> BoxedStrategy<Json> {
    let now = SystemClock::new().now().wall;
    let hours = move |hours: u64| now.plus(Duration::from_secs(hours * 3600));
    let reset = (1_u64..900).prop_map(move |ahead| Json::text(&Time(hours(ahead)).to_string())).boxed();
    let headers = prop::collection::btree_map("[a-z-]{1,20}", "\\PC{0,20}", 0..4).prop_map(|headers| {
        let members = headers.into_iter().map(|(name, value)| (name, Json::text(&value)));
        Json::Object(members.collect())
    });
    let evidence = document(
        vec![],
        vec![
            ("status", (100_u16..600).prop_map(|status| Json::Raw(status.to_string())).boxed()),
            ("headers", headers.boxed()),
            ("body", any::<String>().prop_map(|text| Json::text(&text)).boxed()),
            ("text", any::<String>().prop_map(|text| Json::text(&text)).boxed()),
            ("exit_code", any::<i32>().prop_map(|code| Json::Raw(code.to_string())).boxed()),
            ("signal", words_raw(&["9", "\"SIGKILL\"", "\"TERM\"", "\"0\""])),
            ("oom", words_raw(&["true", "false"])),
        ],
    );
    let all = vec![
        ("id", "\\PC{1,40}".prop_map(|id| Json::text(&id)).boxed()),
        ("subscription", words(&["a"])),
        ("generation", words_raw(&["1"])),
        ("turn", words(&["one-t1"])),
        ("model", "[a-z0-9._:/@-]{1,30}".prop_map(|model| Json::text(&model)).boxed()),
        ("scope", words(&["five_hour", "weekly", "model", "requests", "unknown"])),
        ("reset_at", reset),
        ("retry_after_s", words_raw(&["0", "1.5", "3600", "1e5"])),
        ("observed_at", words(&["2026-11-18T11:06:40Z", "2025-01-01T00:00:00+14:00", "1970-01-01T00:00:00.5Z"])),
        ("reporter", words(&["trusted", "agent"])),
    ];
    let mut optional: Vec<_> = all.into_iter().filter(|(name, _)| names.contains(name)).collect();
    optional.push(("evidence", evidence));
    document(vec![("kind", words(KINDS))], optional)
}

fn words(words: &'static [&'static str]) -> BoxedStrategy<Json> {
    select(words).prop_map(Json::text).boxed()
}

fn words_raw(words: &'static [&'static str]) -> BoxedStrategy<Json> {
    select(words).prop_map(|raw| Json::Raw(raw.to_owned())).boxed()
}

/// A text of at least one character, none of them a control character.
fn text(longest: usize) -> BoxedStrategy<Json> {
    let any_length = prop_oneof!["\\PC{1,20}", Just("ü".repeat(longest / 2)), Just("x".repeat(longest))];
    any_length.prop_map(|text| Json::text(&text)).boxed()
}

fn until() -> (&'static str, BoxedStrategy<Json>) {
    let now = SystemClock::new().now().wall;
    let ahead = (1_u64..8000).prop_map(move |hours| now.plus(Duration::from_secs(hours * 3600)));
    ("until", ahead.prop_map(|until| Json::text(&Time(until).to_string())).boxed())
}

fn span() -> BoxedStrategy<Json> {
    document(vec![("for", words(&["90s", "2h", "1w", "7d12h", "366d", "3600000ms"]))], vec![])
}
