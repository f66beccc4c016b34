//! What comes out: lines in each style, events with their metric, and the documents that promise both.
//!
//! `docs/events.md` and `docs/metrics.md` are held against the code. After a change of the catalogue, run
//! `UPDATE_DOCS=1 cargo test --test telemetry` and commit what it wrote.

#![expect(clippy::unwrap_used, reason = "the code of a test, also outside of its functions")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::domain::{
    AgentName, Cause, CauseBy, Disposition, FailureId, FailureKind, FailureRecord, Generation, Intent, IntentEnd,
    IntentId, IntentMarks, IntentOutcome, Moment, Outcome, Plan, ProbeOutcome, Sign, Steady, SubscriptionName,
    TurnClass, TurnEnd, Utilisation, Wall, Window,
};
use switchman::drivers::fake::clock::ManualClock;
use switchman::telemetry::lines::{LineStyle, Lines};
use switchman::telemetry::{Metrics, Snapshot, Step, SubscriptionSnapshot, Telemetry, events};
use tracing_subscriber::layer::SubscriberExt;

const START: Moment = Moment { wall: Wall(1_795_000_000_123), steady: Steady(0) };

/// A writer that everybody can read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `act` writes to a log of this style, line by line.
fn logged(style: LineStyle, act: impl FnOnce(&Telemetry)) -> Vec<String> {
    let page = Page::default();
    let writer = page.clone();
    let lines = Lines::new(style, move || writer.clone(), Arc::new(ManualClock::new(START)));
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::with_default(subscriber, || act(&Telemetry::new()));
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "every line ends: {text:?}");
    text.lines().map(str::to_owned).collect()
}

fn json(act: impl FnOnce(&Telemetry)) -> Vec<serde_json::Value> {
    logged(LineStyle::Json, act).iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn failure(kind: FailureKind, outcome: Outcome) -> FailureRecord {
    FailureRecord {
        id: FailureId { agent: "reviewer".into(), number: 7 },
        report: None,
        at: START.wall,
        observed_at: None,
        kind,
        outcome,
        subscription: Some("max-a".into()),
        generation: Some(Generation(3)),
        turn: None,
        model: None,
        window: Window::FiveHour,
        reset_at: Some(START.wall),
        reporter: switchman::domain::Reporter::Trusted,
        sender: "uid 0 pid 1".to_owned(),
        reason: None,
        count: 1,
        answer: None,
    }
}

fn intent(outcome: IntentOutcome) -> (Intent, IntentEnd) {
    let id = IntentId { agent: "reviewer".into(), number: 2 };
    let at = |ms: u64| START.wall.plus(Duration::from_millis(ms));
    let intent = Intent {
        id: id.clone(),
        plan: Plan::Switch,
        generation: Generation(4),
        from: Some("max-a".into()),
        to: "max-b".into(),
        cause: Cause { kind: Some(FailureKind::RateLimit), ..Cause::of(CauseBy::Failure) },
        observed_at: at(0),
        started_at: at(500),
        turn: None,
    };
    let marks = IntentMarks { drained_at: Some(at(600)), delivered_at: Some(at(700)), applied_at: Some(at(1500)) };
    let end = IntentEnd {
        id,
        outcome,
        finished_at: at(2500),
        marks,
        turns_cut_off: 0,
        restarts: 1,
        reason: Some("said so".to_owned()),
    };
    (intent, end)
}

#[test]
fn an_event_is_one_flat_json_object_with_the_fixed_members_first() {
    let agent = AgentName::from("reviewer");
    let lines = logged(LineStyle::Json, |telemetry| {
        telemetry.emit(events::AgentBraked { agent: &agent, count: 6, until: Some(START.wall) });
    });
    assert_eq!(
        lines,
        ["{\"ts\":\"2026-11-18T11:06:40.123Z\",\"level\":\"WARN\",\"event\":\"agent.braked\",\"agent\":\"reviewer\",\
          \"count\":6,\"until\":\"2026-11-18T11:06:40.123Z\"}"]
    );
}

#[test]
fn a_member_without_a_value_is_left_out() {
    let agent = AgentName::from("reviewer");
    let lines = json(|telemetry| telemetry.emit(events::AgentBraked { agent: &agent, count: 6, until: None }));
    assert!(lines[0].get("until").is_none(), "{lines:?}");
}

#[test]
fn a_target_of_a_notification_keeps_its_name() {
    let agent = AgentName::from("reviewer");
    let lines = json(|telemetry| {
        let (notification, target, topic) = ("n1", "https://example.org#0a1b2c3d", "switch");
        telemetry.emit(events::NotificationSent { notification, target, topic, agent: Some(&agent), count: 1 });
    });
    assert_eq!(lines[0]["target"], "https://example.org#0a1b2c3d");
}

#[test]
fn text_is_aligned_and_quotes_what_has_spaces() {
    let agent = AgentName::from("reviewer");
    let act = |telemetry: &Telemetry| {
        telemetry.emit(events::AgentUnpinned { agent: &agent, sender: "uid 0 pid 1" });
        telemetry.emit(events::EngineLost { reason: "said \"no\"" });
    };
    assert_eq!(
        logged(LineStyle::Text { colours: false }, act),
        [
            "2026-11-18T11:06:40.123Z INFO  agent.unpinned         agent=reviewer sender=\"uid 0 pid 1\"",
            "2026-11-18T11:06:40.123Z WARN  engine.lost            reason=\"said \\\"no\\\"\"",
        ]
    );
    let coloured = logged(LineStyle::Text { colours: true }, act);
    assert!(coloured[0].contains("\x1b["), "{coloured:?}");
}

#[test]
fn lines_that_are_not_events_come_out_as_log() {
    let act = |_: &Telemetry| tracing::debug!(target: "engine", event = "die", ts = 5, ok = true, "saw\nit");
    let lines = json(act);
    assert_eq!(
        lines[0],
        serde_json::json!({
            "ts": "2026-11-18T11:06:40.123Z", "level": "DEBUG", "event": "log", "target": "engine",
            "message": "saw\\nit", "event_": "die", "ts_": 5, "ok": true,
        })
    );
    assert_eq!(
        logged(LineStyle::Text { colours: false }, act),
        ["2026-11-18T11:06:40.123Z DEBUG engine: saw\\nit event=die ts=5 ok=true"]
    );
}

#[test]
fn foreign_text_forges_no_line_and_is_capped_in_every_style() {
    let agent = AgentName::from("reviewer");
    let text = format!("ok\n{{\"event\":\"switch.completed\"}}\r\x1b[2J{}", "x".repeat(100_000));
    for style in [LineStyle::Json, LineStyle::Text { colours: false }] {
        let lines = logged(style, |telemetry| {
            telemetry.emit(events::AgentOutput { agent: &agent, stream: "stdout", text: &text });
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].len() < 3_000, "{} bytes", lines[0].len());
        assert!(!lines[0].contains(['\r', '\x1b']), "{lines:?}");
    }
}

#[test]
fn a_name_from_outside_is_escaped_too() {
    let (agent, evil) = (AgentName::from("reviewer"), SubscriptionName::from("a\nb\x1b[0m"));
    let lines = logged(LineStyle::Text { colours: false }, |telemetry| {
        telemetry.emit(events::AgentPinned { agent: &agent, subscription: &evil, sender: "me" });
    });
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(" subscription=a\\nb\\u{1b}[0m "), "{lines:?}");
}

#[test]
fn every_recorded_failure_gets_the_one_event_that_fits_and_one_count() {
    for outcome in Outcome::ALL {
        for kind in [FailureKind::RateLimit, FailureKind::Unknown] {
            let mut text = String::new();
            let lines = json(|telemetry| {
                telemetry.failure_recorded(&failure(kind, *outcome), None);
                text = telemetry.metrics().render(&Snapshot::default());
            });
            let expected = match (outcome, kind) {
                (Outcome::Stale, _) => "failure.stale",
                (Outcome::Held, _) => "failure.held",
                (Outcome::Ambiguous, _) => "failure.ambiguous",
                (Outcome::Uncorroborated, _) => "failure.uncorroborated",
                (Outcome::Ignored, FailureKind::Unknown) => "failure.unclassified",
                (Outcome::Ignored, _) => "failure.ignored",
                _ => "failure.recorded",
            };
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(lines[0]["event"], expected);
            assert_eq!(lines[0]["failure"], "reviewer-f7");
            let counted = format!("switchman_failures_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} 1\n");
            assert!(text.contains(&counted), "{counted} not in {text}");
            assert_eq!(text.matches("switchman_failures_total{").count(), 1, "{text}");
        }
    }
}

#[test]
fn every_end_of_a_switch_gets_the_one_event_that_fits_and_one_count() {
    for outcome in IntentOutcome::ALL {
        let (intent, end) = intent(*outcome);
        let mut text = String::new();
        let lines = json(|telemetry| {
            telemetry.intent_closed(&intent, &end);
            text = telemetry.metrics().render(&Snapshot::default());
        });
        let expected = match outcome {
            IntentOutcome::Ready | IntentOutcome::NotReady | IntentOutcome::NotRunning => "switch.completed",
            IntentOutcome::RolledBack => "switch.rolled_back",
            IntentOutcome::Cancelled => "switch.cancelled",
            IntentOutcome::Failed | IntentOutcome::NoContainer | IntentOutcome::UnderWay => "switch.failed",
        };
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((&lines[0]["event"], &lines[0]["outcome"]), (&expected.into(), &outcome.as_str().into()));
        let counted =
            format!("switchman_switches_total{{kind=\"switch\",cause=\"failure\",outcome=\"{outcome}\"}} 1\n");
        assert!(text.contains(&counted), "{counted} not in {text}");
        let has_recovered = text.contains("switchman_recovery_seconds_sum 2.5\n");
        assert_eq!(has_recovered, *outcome == IntentOutcome::Ready, "{text}");
    }
    let (intent, end) = intent(IntentOutcome::Ready);
    let lines = json(|telemetry| telemetry.intent_closed(&intent, &end));
    let times = ["ready_ms", "total_ms", "recovery_ms"].map(|name| lines[0][name].as_f64());
    assert_eq!(times, [Some(1000.0), Some(2000.0), Some(2500.0)]);
}

#[test]
fn refused_reports_are_all_counted_and_seldom_logged() {
    let (loud, quiet) = (AgentName::from("loud"), AgentName::from("quiet"));
    let at = |ms| Moment { wall: START.wall, steady: Steady(ms) };
    let mut text = String::new();
    let lines = json(|telemetry| {
        for ms in [0, 1, 2, 999, 1000, 1001] {
            telemetry.report_shed(&loud, FailureKind::RateLimit, at(ms));
        }
        telemetry.report_shed(&quiet, FailureKind::RateLimit, at(2));
        text = telemetry.metrics().render(&Snapshot::default());
    });
    let seen: Vec<_> = lines.iter().map(|line| (line["agent"].as_str(), line["count"].as_u64())).collect();
    assert_eq!(seen, [(Some("loud"), Some(1)), (Some("loud"), Some(4)), (Some("quiet"), Some(1))]);
    assert!(text.contains("switchman_intake_shed_total 7\n"), "{text}");
}

#[test]
fn the_catalogue_is_well_formed() {
    let mut names = BTreeSet::new();
    for event in events::CATALOGUE {
        assert!(names.insert(event.name), "{} is there twice", event.name);
        let (noun, verb) = event.name.split_once('.').expect("a dotted name");
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(is_word(noun) && is_word(verb), "{}", event.name);
        for member in event.members {
            assert!(!["ts", "level", "event", "message"].contains(member), "{}: {member}", event.name);
        }
        assert!(event.when.trim_end().ends_with('.'), "{} says when", event.name);
    }
    for name in CONTRACT {
        assert!(names.contains(name), "{name} is missing");
    }
}

/// What the contract names and this version can emit.
const CONTRACT: &[&str] = &[
    "daemon.ready",
    "daemon.stopping",
    "config.rejected",
    "failure.recorded",
    "failure.stale",
    "failure.held",
    "failure.ambiguous",
    "failure.uncorroborated",
    "failure.corroborated",
    "failure.ignored",
    "failure.unclassified",
    "failure.shed",
    "switch.started",
    "switch.drained",
    "switch.applied",
    "switch.completed",
    "switch.failed",
    "switch.rolled_back",
    "switch.cancelled",
    "switch.recovered",
    "agent.adopted",
    "agent.exhausted",
    "agent.braked",
    "agent.woken",
    "agent.parked",
    "subscription.cooling",
    "subscription.suspect",
    "subscription.available",
    "subscription.quarantined",
    "notification.failed",
    "engine.lost",
    "engine.back",
];

#[test]
fn the_events_stand_in_the_documentation() {
    let mut text = String::from(include_str!("telemetry/events_intro.md"));
    text.push_str("\n| event | level | members | when |\n|---|---|---|---|\n");
    for event in events::CATALOGUE {
        let members: Vec<_> = event.members.iter().map(|member| format!("`{member}`")).collect();
        let _ =
            writeln!(text, "| `{}` | {} | {} | {} |", event.name, event.level, members.join(", "), event.when.trim());
    }
    hold("docs/events.md", &text);
}

#[test]
fn the_metrics_stand_in_the_documentation() {
    let mut text = String::from(include_str!("telemetry/metrics_intro.md"));
    text.push_str("\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    let rendered = everything_measured();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in rendered.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let set = labels.entry(name).or_default();
        if let Some((inside, _)) = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')) {
            set.extend(inside.split("\",").filter_map(|pair| pair.split('=').next()).filter(|name| *name != "le"));
        }
    }
    let help = rendered.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let types = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for ((name, help), (same, kind)) in help.zip(types) {
        assert_eq!(name, same);
        let (shown, sample) = match kind {
            "counter" => (format!("{name}_total"), format!("{name}_total")),
            "info" => (format!("{name}_info"), format!("{name}_info")),
            "histogram" => (name.to_owned(), format!("{name}_count")),
            _ => (name.to_owned(), name.to_owned()),
        };
        let labels = labels.get(&*sample).unwrap_or_else(|| panic!("{sample} was not measured in this test"));
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(text, "| `{shown}` | {kind} | {} | {help} |", labels.join(", "));
    }
    hold("docs/metrics.md", &text);
}

fn everything_measured() -> String {
    let metrics = Metrics::new();
    metrics.shed(FailureKind::RateLimit);
    metrics.switch_ended(Plan::Switch, CauseBy::Failure, IntentOutcome::Ready);
    metrics.switch_step(Step::Total, Some(Duration::from_secs(1)));
    metrics.recovered(Some(Duration::from_secs(1)));
    metrics.log_lines_read("container", 1);
    metrics.corroborated(FailureKind::RateLimit, Sign::Exit);
    metrics.unclassified_line();
    metrics.engine_called("inspect", Duration::from_secs(1));
    metrics.engine_failed("inspect", Disposition::Transient);
    metrics.notified("https://example.org", "sent");
    metrics.store_committed(Duration::from_millis(1));
    metrics.store_failed("commit", Disposition::Transient);
    metrics.transition_ignored("stale");
    metrics.invariant_violated("INV-1");
    metrics.actor_crashed("agent");
    metrics.api_refused("agent_not_found");
    metrics.probed(&"max-a".into(), ProbeOutcome::Served);
    metrics.turn_begun(TurnClass::Interactive, Duration::from_secs(1));
    metrics.turn_ended(TurnClass::Interactive, TurnEnd::CutOff);
    metrics.render(&Snapshot {
        turns: vec![(TurnClass::Interactive, 1)],
        agents: vec![("serving", 1)],
        subscriptions: vec![SubscriptionSnapshot {
            name: "max-a".into(),
            is_cooling: true,
            reset_in: Some(Duration::from_secs(1)),
            agents: 1,
            utilisation: vec![(Window::FiveHour, Utilisation::FULL)],
        }],
        is_halted: false,
    })
}

/// Compares a document with what it should say; writes it instead if asked to.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment to write the document")]
fn hold(document: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{document} is out of date; run `UPDATE_DOCS=1 cargo test --test telemetry` and commit it\nfirst difference \
         (found, expected): {differs:#?}"
    );
}
