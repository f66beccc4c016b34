//! What can be counted and measured, as one value: every daemon and every test owns its own.
//!
//! Counters and histograms are bumped where things happen, most of them by [`Event::count`]. What is a fact
//! about the present state is not kept here but handed in as a [`Snapshot`] when somebody asks. The values of
//! every label are bounded; what is unknown is absent, never 0.
//!
//! Tests: below, and `tests/telemetry.rs` holds `docs/metrics.md` against [`Metrics::render`].
//!
//! [`Event::count`]: super::event::Event::count

use std::fmt::Write;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::domain::{
    CauseBy, Disposition, FailureKind, IntentOutcome, Outcome, Plan, ProbeOutcome, Sign, SubscriptionName, TurnClass,
    TurnEnd, Utilisation, Window,
};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A label set: the names are fixed, the values bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Labels<const N: usize, V = &'static str>([(&'static str, V); N]);

impl<const N: usize, V: AsRef<str> + std::fmt::Debug + Clone + std::hash::Hash + Eq> EncodeLabelSet for Labels<N, V> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        for (name, value) in &self.0 {
            (*name, value.as_ref()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The steps of a switch that are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From the arrival of what caused it to the intent on disk.
    Decide,
    /// Until nothing holds it up any more.
    Drain,
    /// Until the agent was started again.
    Apply,
    /// Until it was ready.
    Ready,
    /// From the intent to the end.
    Total,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Drain => "drain",
            Self::Apply => "apply",
            Self::Ready => "ready",
            Self::Total => "total",
        }
    }
}

/// The present state, as far as it is measured. Made by whoever owns the state, at the moment of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How many agents are in each phase; list every phase, also those without agents.
    pub agents: Vec<(&'static str, u64)>,
    /// Every subscription of the config.
    pub subscriptions: Vec<SubscriptionSnapshot>,
    /// How many turns there are of each class; list every class.
    pub turns: Vec<(TurnClass, u64)>,
    /// Whether nothing is switched by itself.
    pub is_halted: bool,
}

/// What is measured of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSnapshot {
    /// Its name.
    pub name: SubscriptionName,
    /// Whether it is cooling or quarantined for everyone.
    pub is_cooling: bool,
    /// How long until it comes back; `None` if it is not cooling or its end is not known.
    pub reset_in: Option<Duration>,
    /// How many agents run on it.
    pub agents: u64,
    /// How far its windows are used up, as freshly read; what is not known is absent.
    pub utilisation: Vec<(Window, Utilisation)>,
}

/// The counters and histograms of one daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    failures: Family<Labels<2>, Counter>,
    switches: Family<Labels<3>, Counter>,
    switch_seconds: Histograms,
    recovery_seconds: Histogram,
    intake_shed: Counter,
    log_lines: Family<Labels<1>, Counter>,
    log_gaps: Counter,
    corroborated: Family<Labels<2>, Counter>,
    unclassified_lines: Counter,
    engine_call_seconds: Histograms,
    engine_errors: Family<Labels<2>, Counter>,
    notifications: Family<Labels<2, String>, Counter>,
    store_commit_seconds: Histogram,
    store_errors: Family<Labels<2, String>, Counter>,
    ignored: Family<Labels<1>, Counter>,
    violations: Family<Labels<1>, Counter>,
    crashes: Family<Labels<1, String>, Counter>,
    refused: Family<Labels<1, String>, Counter>,
    turns: Family<Labels<2>, Counter>,
    turn_wait_seconds: Histograms,
    turns_cut_off: Counter,
    probes: Family<Labels<2, String>, Counter>,
}

/// From a commit (0.1 ms) to a slow stop (100 s), in steps that tell 1 from 2 and 5.
fn seconds() -> Histogram {
    Histogram::new([
        0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0,
        50.0, 100.0,
    ])
}

/// From a fast restart (0.1 s) to a night (8 h).
fn long_seconds() -> Histogram {
    Histogram::new([
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 28800.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them at nothing. A counter appears with its first event.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("switchman");
        let version = Info::new(Labels([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("build", "The version that runs", version);
        let histograms = || Family::new_with_constructor(seconds as fn() -> Histogram);
        let this = Self {
            failures: Family::default(),
            switches: Family::default(),
            switch_seconds: histograms(),
            recovery_seconds: long_seconds(),
            intake_shed: Counter::default(),
            log_lines: Family::default(),
            log_gaps: Counter::default(),
            corroborated: Family::default(),
            unclassified_lines: Counter::default(),
            engine_call_seconds: histograms(),
            engine_errors: Family::default(),
            notifications: Family::default(),
            store_commit_seconds: seconds(),
            store_errors: Family::default(),
            ignored: Family::default(),
            violations: Family::default(),
            crashes: Family::default(),
            refused: Family::default(),
            turns: Family::default(),
            turn_wait_seconds: histograms(),
            turns_cut_off: Counter::default(),
            probes: Family::default(),
            registry: Registry::default(),
        };
        // The library appends `_total` to counters and `_info` to the information by itself.
        registry.register("failures", "Failure reports by what became of them", this.failures.clone());
        registry.register("switches", "Switches and recoveries that ended", this.switches.clone());
        registry.register("switch_seconds", "Time of the steps of a switch", this.switch_seconds.clone());
        registry.register("recovery_seconds", "From a failure to the agent being ready", this.recovery_seconds.clone());
        registry.register("intake_shed", "Reports refused because an intake was full", this.intake_shed.clone());
        registry.register("log_lines", "Lines read from agents' output", this.log_lines.clone());
        registry.register("log_gaps", "Times that lines were lost before they could be read", this.log_gaps.clone());
        registry.register(
            "failures_corroborated",
            "Lines of text that something agreed with, by what",
            this.corroborated.clone(),
        );
        registry.register(
            "unclassified_lines",
            "Wordings in agents' output that look like a limit and that no rule knows",
            this.unclassified_lines.clone(),
        );
        registry.register("engine_call_seconds", "Time of the calls of the runtime", this.engine_call_seconds.clone());
        registry.register("engine_errors", "Calls of the runtime that failed", this.engine_errors.clone());
        registry.register("notifications", "Attempts to hand over a notification", this.notifications.clone());
        registry.register(
            "store_commit_seconds",
            "Time of a commit until it is on disk",
            this.store_commit_seconds.clone(),
        );
        registry.register("store_errors", "Calls of the store that failed", this.store_errors.clone());
        registry.register("transitions_ignored", "Events that changed nothing, by reason", this.ignored.clone());
        registry.register(
            "invariant_violations",
            "Invariants found broken: a defect of switchman",
            this.violations.clone(),
        );
        registry.register("actor_crashes", "Actors that failed", this.crashes.clone());
        registry.register("turns", "Turns that ended, by class and end", this.turns.clone());
        registry.register(
            "turn_wait_seconds",
            "Time from asking for a turn to the grant",
            this.turn_wait_seconds.clone(),
        );
        registry.register("turns_cut_off", "Turns whose work was ended under them", this.turns_cut_off.clone());
        registry.register("probes", "Questions to providers, by what they came to", this.probes.clone());
        registry.register("api_refused", "API calls refused, by code", this.refused.clone());
        Self { registry, ..this }
    }

    /// Counts lines of a sort of source.
    pub fn log_lines_read(&self, source: &'static str, lines: usize) {
        self.log_lines.get_or_create(&Labels([("source", source)])).inc_by(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    /// Counts a gap in a log.
    pub fn log_gap(&self) {
        self.log_gaps.inc();
    }

    /// Counts a line of text that something agrees with.
    pub fn corroborated(&self, kind: FailureKind, by: Sign) {
        self.corroborated.get_or_create(&Labels([("kind", kind.as_str()), ("by", by.as_str())])).inc();
    }

    /// Counts a wording that nobody knows.
    pub fn unclassified_line(&self) {
        self.unclassified_lines.inc();
    }

    /// Counts reports: one for a recorded failure, `count` for repeats that were merged into it.
    pub fn failures_counted(&self, kind: FailureKind, outcome: Outcome, count: u64) {
        self.failures.get_or_create(&Labels([("kind", kind.as_str()), ("outcome", outcome.as_str())])).inc_by(count);
    }

    /// Counts a report that was refused because an intake was full.
    pub fn shed(&self, kind: FailureKind) {
        self.intake_shed.inc();
        self.failures_counted(kind, Outcome::Shed, 1);
    }

    /// Counts the end of a switch.
    pub fn switch_ended(&self, plan: Plan, cause: CauseBy, outcome: IntentOutcome) {
        let labels = [("kind", plan.as_str()), ("cause", cause.as_str()), ("outcome", outcome.as_str())];
        self.switches.get_or_create(&Labels(labels)).inc();
    }

    /// Measures a step of a switch, if its time is known.
    pub fn switch_step(&self, step: Step, time: Option<Duration>) {
        if let Some(time) = time {
            self.switch_seconds.get_or_create(&Labels([("step", step.as_str())])).observe(time.as_secs_f64());
        }
    }

    /// Measures how long an agent was without a usable subscription, if that is known.
    pub fn recovered(&self, time: Option<Duration>) {
        if let Some(time) = time {
            self.recovery_seconds.observe(time.as_secs_f64());
        }
    }

    /// Measures one call of the runtime, whatever its outcome.
    pub fn engine_called(&self, call: &'static str, time: Duration) {
        self.engine_call_seconds.get_or_create(&Labels([("call", call)])).observe(time.as_secs_f64());
    }

    /// Counts a call of the runtime that failed.
    pub fn engine_failed(&self, call: &'static str, disposition: Disposition) {
        let labels = [("call", call), ("disposition", disposition.as_str())];
        self.engine_errors.get_or_create(&Labels(labels)).inc();
    }

    /// Counts an attempt to hand over a notification.
    pub fn notified(&self, target: &str, outcome: &str) {
        let labels = [("target", target.to_owned()), ("outcome", outcome.to_owned())];
        self.notifications.get_or_create(&Labels(labels)).inc();
    }

    /// Measures a commit until it was on disk.
    pub fn store_committed(&self, time: Duration) {
        self.store_commit_seconds.observe(time.as_secs_f64());
    }

    /// Counts a call of the store that failed.
    pub fn store_failed(&self, call: &str, disposition: Disposition) {
        let labels = [("call", call.to_owned()), ("disposition", disposition.as_str().to_owned())];
        self.store_errors.get_or_create(&Labels(labels)).inc();
    }

    /// Counts an event that changed nothing.
    pub fn transition_ignored(&self, reason: &'static str) {
        self.ignored.get_or_create(&Labels([("reason", reason)])).inc();
    }

    /// Counts an invariant that was found broken.
    pub fn invariant_violated(&self, invariant: &'static str) {
        self.violations.get_or_create(&Labels([("invariant", invariant)])).inc();
    }

    /// Counts an actor that failed; `actor` is its sort, not its name.
    pub fn actor_crashed(&self, actor: &str) {
        self.crashes.get_or_create(&Labels([("actor", actor.to_owned())])).inc();
    }

    /// Counts a question to a provider about one of the config's subscriptions.
    pub fn probed(&self, subscription: &SubscriptionName, outcome: ProbeOutcome) {
        let labels = [("subscription", subscription.as_str().to_owned()), ("outcome", outcome.as_str().to_owned())];
        self.probes.get_or_create(&Labels(labels)).inc();
    }

    /// Counts a call of the API that was refused; `code` is one of the documented ones.
    pub fn api_refused(&self, code: &str) {
        self.refused.get_or_create(&Labels([("code", code.to_owned())])).inc();
    }

    /// A turn was granted.
    pub fn turn_begun(&self, class: TurnClass, waited: Duration) {
        self.turn_wait_seconds.get_or_create(&Labels([("class", class.as_str())])).observe(waited.as_secs_f64());
    }

    /// A turn has ended.
    pub fn turn_ended(&self, class: TurnClass, end: TurnEnd) {
        self.turns.get_or_create(&Labels([("class", class.as_str()), ("end", end.as_str())])).inc();
        if end == TurnEnd::CutOff {
            self.turns_cut_off.inc();
        }
    }

    /// Everything in the text form that Prometheus reads ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut out = String::with_capacity(8 * 1024);
        let present = present(snapshot);
        encode_registry(&mut out, &self.registry)
            .and_then(|()| encode_registry(&mut out, &present))
            .and_then(|()| encode_eof(&mut out))
            .unwrap_or_else(|error| {
                // A `String` takes everything; only a label's own encoding could refuse.
                let _ = writeln!(out, "# {error}");
            });
        out
    }
}

fn present(snapshot: &Snapshot) -> Registry {
    let mut registry = Registry::with_prefix("switchman");
    let agents = Family::<Labels<1>, Gauge>::default();
    for (phase, count) in &snapshot.agents {
        agents.get_or_create(&Labels([("phase", *phase)])).set(count.cast_signed());
    }
    let cooling = Family::<Labels<1, String>, Gauge>::default();
    let reset = Family::<Labels<1, String>, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    let load = Family::<Labels<1, String>, Gauge>::default();
    let used = Family::<Labels<2, String>, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    for subscription in &snapshot.subscriptions {
        for (window, utilisation) in &subscription.utilisation {
            let labels =
                [("subscription", subscription.name.as_str().to_owned()), ("window", window.as_str().to_owned())];
            used.get_or_create(&Labels(labels)).set(f64::from(utilisation.0) / 1000.0);
        }
        let labels = Labels([("subscription", subscription.name.as_str().to_owned())]);
        cooling.get_or_create(&labels).set(i64::from(subscription.is_cooling));
        load.get_or_create(&labels).set(subscription.agents.cast_signed());
        if let Some(reset_in) = subscription.reset_in {
            reset.get_or_create(&labels).set(reset_in.as_secs_f64());
        }
    }
    let turns = Family::<Labels<1>, Gauge>::default();
    for (class, count) in &snapshot.turns {
        turns.get_or_create(&Labels([("class", class.as_str())])).set(count.cast_signed());
    }
    registry.register("turns_active", "Turns under way, by class", turns);
    registry.register("agents", "Agents by phase", agents);
    registry.register("subscription_cooling", "1 if the subscription is not to be used by anyone", cooling);
    registry.register("subscription_reset_seconds", "Time until a cooling subscription comes back", reset);
    registry.register("subscription_agents", "Agents that run on the subscription", load);
    registry.register(
        "subscription_utilisation",
        "Share of a window that is used up, 1 is all of it, by a reading that is not too old",
        used,
    );
    let halted = Gauge::<i64>::default();
    halted.set(i64::from(snapshot.is_halted));
    registry.register("switching_halted", "1 while nothing is switched by itself, after several bans", halted);
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(metrics: &Metrics, snapshot: &Snapshot) -> Vec<String> {
        metrics.render(snapshot).lines().map(str::to_owned).collect()
    }

    #[test]
    fn counters_come_out_under_the_names_of_the_contract() {
        let metrics = Metrics::new();
        metrics.failures_counted(FailureKind::RateLimit, Outcome::Repeat, 7);
        metrics.shed(FailureKind::Auth);
        metrics.switch_ended(Plan::Switch, CauseBy::Failure, IntentOutcome::Ready);
        metrics.engine_failed("restart", Disposition::InDoubt);
        metrics.notified("https://example.org #0a1b", "sent");
        let lines = lines(&metrics, &Snapshot::default());
        for line in [
            concat!("switchman_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "switchman_failures_total{kind=\"rate_limit\",outcome=\"repeat\"} 7",
            "switchman_failures_total{kind=\"auth\",outcome=\"shed\"} 1",
            "switchman_intake_shed_total 1",
            "switchman_switches_total{kind=\"switch\",cause=\"failure\",outcome=\"ready\"} 1",
            "switchman_engine_errors_total{call=\"restart\",disposition=\"in_doubt\"} 1",
            "switchman_notifications_total{target=\"https://example.org #0a1b\",outcome=\"sent\"} 1",
            "# EOF",
        ] {
            assert!(lines.iter().any(|l| l == line), "missing {line} in\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn times_come_out_in_seconds_and_by_step() {
        let metrics = Metrics::new();
        metrics.switch_step(Step::Apply, Some(Duration::from_millis(1500)));
        metrics.switch_step(Step::Ready, None);
        metrics.recovered(Some(Duration::from_secs(2)));
        metrics.engine_called("inspect", Duration::from_millis(3));
        let text = metrics.render(&Snapshot::default());
        assert!(text.contains("switchman_switch_seconds_sum{step=\"apply\"} 1.5\n"), "{text}");
        assert!(text.contains("switchman_switch_seconds_bucket{le=\"2.0\",step=\"apply\"} 1\n"), "{text}");
        assert!(!text.contains("step=\"ready\""), "a time that is not known is absent");
        assert!(text.contains("switchman_recovery_seconds_count 1\n"), "{text}");
        assert!(text.contains("switchman_engine_call_seconds_count{call=\"inspect\"} 1\n"), "{text}");
    }

    #[test]
    fn the_present_is_what_the_snapshot_says_and_the_unknown_is_absent() {
        let metrics = Metrics::new();
        let of = |name: &str, is_cooling, reset_in| SubscriptionSnapshot {
            name: name.into(),
            is_cooling,
            reset_in,
            agents: 2,
            utilisation: if is_cooling && reset_in.is_some() {
                vec![(Window::FiveHour, Utilisation(425)), (Window::Weekly, Utilisation::FULL)]
            } else {
                vec![]
            },
        };
        let snapshot = Snapshot {
            is_halted: true,
            turns: vec![],
            agents: vec![("serving", 3), ("parked", 0)],
            subscriptions: vec![of("max-a", true, Some(Duration::from_secs(90))), of("max-b", true, None)],
        };
        let text = metrics.render(&snapshot);
        assert!(text.contains("switchman_agents{phase=\"serving\"} 3\n"), "{text}");
        assert!(text.contains("switchman_agents{phase=\"parked\"} 0\n"), "{text}");
        assert!(text.contains("switchman_subscription_cooling{subscription=\"max-b\"} 1\n"), "{text}");
        assert!(text.contains("switchman_subscription_reset_seconds{subscription=\"max-a\"} 90.0\n"), "{text}");
        assert!(!text.contains("reset_seconds{subscription=\"max-b\"}"), "{text}");
        assert!(text.contains("switchman_subscription_agents{subscription=\"max-a\"} 2\n"), "{text}");
        let used = |name: &str, window: &str| {
            format!("switchman_subscription_utilisation{{subscription=\"{name}\",window=\"{window}\"}}")
        };
        assert!(text.contains(&format!("{} 0.425\n", used("max-a", "five_hour"))), "{text}");
        assert!(text.contains(&format!("{} 1.0\n", used("max-a", "weekly"))), "{text}");
        assert!(!text.contains("utilisation{subscription=\"max-b\""), "{text}");
        assert!(text.contains("switchman_switching_halted 1\n"), "{text}");
        let later = metrics.render(&Snapshot { agents: vec![("serving", 4)], ..Snapshot::default() });
        assert!(later.contains("switchman_switching_halted 0\n"), "{later}");
        assert!(later.contains("switchman_agents{phase=\"serving\"} 4\n"), "{later}");
        assert!(!later.contains("max-a"), "a removed subscription does not linger: {later}");
    }
}
