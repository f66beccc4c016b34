//! Asking providers: how often, about whom, what an answer does, and what a failure does not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::actor::root::{Places, Reconfiguration};
use switchman::domain::{
    AgentName, Disposition, FailureKind, Generation, Outcome, ProbeForm, ProbePlan, ReadingSource, Report, Window,
};
use switchman::drivers::fake::clock::TestClock;
use switchman::drivers::fake::prober::{FakeProber, Scripted};
use switchman::machine::agent::{Phase, testing};
use switchman::machine::policy::PoolSettings;
use switchman::ports::Pending;
use switchman::ports::probe::{ProbeAnswer, ProbeError};
use switchman::telemetry::lines::{LineStyle, Lines};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::rig::{Rig, START, limit, subscription};

const MINUTE: Duration = Duration::from_secs(60);

fn plan(subscription: &str, every: Duration) -> ProbePlan {
    ProbePlan {
        subscription: subscription.into(),
        form: ProbeForm::PlanToken,
        every,
        model: "small-1".into(),
        endpoint: "https://api.example.org".to_owned(),
    }
}

fn plain(status: u16, headers: &[(&str, &str)]) -> ProbeAnswer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ProbeAnswer { status, headers, body: None }
}

macro_rules! answer {
    ($status:expr, $headers:expr $(,)?) => {
        Scripted::Ok(plain($status, $headers))
    };
}

/// Five hours used up to a quarter, the week to a half.
fn serves() -> Scripted {
    answer!(
        200,
        &[
            ("anthropic-ratelimit-unified-status", "allowed"),
            ("anthropic-ratelimit-unified-5h-utilization", "0.25"),
            ("anthropic-ratelimit-unified-7d-utilization", "0.5"),
        ],
    )
}

/// The week is used up for so long.
fn exhausted(for_so_long: Duration) -> Scripted {
    let reset = (START.plus(for_so_long).0 / 1000).to_string();
    answer!(
        429,
        &[
            ("anthropic-ratelimit-unified-status", "rejected"),
            ("anthropic-ratelimit-unified-7d-status", "rejected"),
            ("anthropic-ratelimit-unified-7d-reset", &reset),
        ],
    )
}

fn failed() -> Scripted {
    Err(ProbeError { why: "no connection to the endpoint".to_owned(), disposition: Disposition::Transient })
}

/// Two agents on `a`; `a` is probed like this.
async fn probed(every: Duration, answers: impl IntoIterator<Item = Scripted>) -> (Rig, Arc<FakeProber>) {
    let prober = Arc::new(FakeProber::default());
    prober.answers("a", answers);
    let rig = Rig::new(&["one", "two"]).runs("one", "a").runs("two", "a");
    let rig = rig.probing(&prober, &[plan("a", every)]).start().await;
    for agent in ["one", "two"] {
        rig.until(agent, |state| state.assignment.is_some()).await;
    }
    (rig, prober)
}

/// Waits until so many probes were made, and their answers taken in.
async fn until_asked(rig: &Rig, prober: &FakeProber, count: usize) {
    for _ in 0..100_000 {
        if prober.asked().len() >= count {
            rig.sleep(Duration::from_millis(100)).await;
            return;
        }
        rig.sleep(Duration::from_secs(1)).await;
    }
    panic!("{} probes only", prober.asked().len());
}

async fn eligible(rig: &Rig, name: &str) -> bool {
    let status = rig.subscription(name).await;
    status.cooldown.is_none() && status.refused.is_none()
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_is_known_with_its_source_and_age() {
    let (rig, prober) = probed(15 * MINUTE, [serves()]).await;
    until_asked(&rig, &prober, 1).await;
    let (asked, credential) = prober.asked().remove(0);
    assert_eq!((asked, credential.as_str()), (plan("a", 15 * MINUTE), "key-of-a"));
    let status = rig.subscription("a").await;
    let read: Vec<_> =
        status.readings.iter().map(|one| (one.window, one.used().map(|used| used.0), one.serves)).collect();
    let expected =
        [(Window::FiveHour, Some(250), true), (Window::Weekly, Some(500), true), (Window::Unknown, None, true)];
    assert_eq!(read, expected);
    assert!(status.readings.iter().all(|reading| reading.source() == ReadingSource::Probe && reading.at > START));
    assert_eq!(status.nearest_wall.map(|wall| wall.window), Some(Window::Weekly));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn probes_come_in_their_pause_and_never_twice_in_a_minute_whatever_comes_back() {
    for answers in [vec![serves()], vec![failed()], vec![failed(), serves(), answer!(529, &[]), exhausted(MINUTE)]] {
        let (rig, prober) = probed(MINUTE, answers).await;
        let mut seen = Vec::new();
        for _ in 0..(30 * 60) {
            rig.sleep(Duration::from_secs(1)).await;
            if prober.asked().len() > seen.len() {
                seen.push(rig.elapsed());
            }
        }
        assert_eq!(prober.asked().len(), seen.len());
        let gaps: Vec<Duration> = seen.windows(2).map(|two| two[1].saturating_sub(two[0])).collect();
        assert!(seen[0] >= MINUTE, "an earlier life may have asked a moment ago: {seen:?}");
        // A second is how often this test looks.
        let bounds = Duration::from_secs(59)..=Duration::from_secs(67);
        assert!(gaps.iter().all(|gap| bounds.contains(gap)), "{gaps:?}");
        assert!(seen.len() >= 26, "{seen:?}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_provider_keeps_everybody_off_and_moves_nobody() {
    let (rig, prober) = probed(5 * MINUTE, [exhausted(3 * 60 * MINUTE)]).await;
    until_asked(&rig, &prober, 1).await;
    assert!(!eligible(&rig, "a").await);
    assert!(eligible(&rig, "b").await);
    rig.sleep(MINUTE).await;
    for agent in ["one", "two"] {
        assert_eq!((rig.state(agent).generation(), rig.world.starts_ordered(&agent.into())), (Generation(1), 0));
    }
    // Who leaves another one does not come here.
    let answer = rig.report("one", limit(Some("a"), Some(1))).await;
    assert_eq!(answer.outcome, Outcome::Switching);
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_answer_that_serves_ends_what_refused_before() {
    let far = 20 * 24 * 60 * MINUTE;
    let whole = answer!(
        429,
        &[
            ("anthropic-ratelimit-unified-status", "rejected"),
            ("anthropic-ratelimit-unified-reset", &(START.plus(far).0 / 1000).to_string()),
        ],
    );
    for refusal in [exhausted(far), whole] {
        let (rig, prober) = probed(5 * MINUTE, [refusal, serves()]).await;
        until_asked(&rig, &prober, 1).await;
        assert!(!eligible(&rig, "a").await);
        until_asked(&rig, &prober, 2).await;
        assert!(eligible(&rig, "a").await, "{:?}", rig.subscription("a").await);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_serves_ends_a_limit_that_was_met_before_it_was_asked_for() {
    let (rig, prober) = probed(5 * MINUTE, [serves()]).await;
    assert_eq!(rig.report("one", limit(Some("a"), Some(1))).await.outcome, Outcome::Switching);
    rig.until("one", |state| state.generation() == Generation(2)).await;
    assert!(!eligible(&rig, "a").await);
    until_asked(&rig, &prober, 1).await;
    assert!(eligible(&rig, "a").await);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn its_own_failures_count_for_nothing() {
    for trouble in [
        failed(),
        answer!(529, &[]),
        answer!(500, &[]),
        answer!(401, &[]),
        answer!(403, &[]),
        answer!(404, &[]),
        answer!(429, &[("retry-after", "600")]),
        answer!(429, &[("anthropic-ratelimit-unified-status", "allowed")]),
        answer!(503, &[("anthropic-ratelimit-unified-status", "rejected")]),
    ] {
        let (rig, prober) = probed(MINUTE, [trouble.clone()]).await;
        until_asked(&rig, &prober, 3).await;
        let status = rig.subscription("a").await;
        assert_eq!((status.readings.len(), status.rows.len(), status.refused), (0, 0, None), "{trouble:?}");
        assert!(matches!(rig.state("one").phase, Phase::Serving), "{trouble:?}");
        assert_eq!(rig.failures("one").await.len(), 0);
        let metrics = rig.metrics().await;
        assert!(!metrics.contains("outcome=\"served\"") && !metrics.contains("outcome=\"exhausted\""), "{metrics}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_out_of_use_or_known_already_is_not_asked() {
    let (rig, prober) = probed(MINUTE, [serves()]).await;
    let banned = Report { kind: FailureKind::Banned, ..limit(Some("a"), Some(1)) };
    assert_eq!(rig.report("one", banned).await.outcome, Outcome::Switching);
    rig.sleep(20 * MINUTE).await;
    assert_eq!(prober.asked().len(), 0, "never of one that is banned");
    rig.switchman().clear_cooldown("a".into()).await.expect("cleared");
    rig.sleep(3 * MINUTE).await;
    assert!(!prober.asked().is_empty());
    let before = prober.asked().len();
    for _ in 0..10 {
        for window in [Window::FiveHour, Window::Weekly] {
            let mut reading = rig.subscription("a").await.readings.remove(0);
            reading.told_by = switchman::domain::Teller::Reporter;
            (reading.window, reading.at) = (window, START.plus(rig.elapsed()));
            rig.switchman().read(reading).await.expect("taken");
        }
        rig.sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(prober.asked().len(), before, "somebody trusted reads it more often");
    rig.set_key("a", None);
    rig.sleep(20 * MINUTE).await;
    assert_eq!(prober.asked().len(), before, "without a credential nobody can ask");
    assert!(rig.metrics().await.contains("switchman_probes_total{subscription=\"a\",outcome=\"failed\"}"));
    rig.stop().await;
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_of_it_is_told_when_it_changes_and_counted_each_time() {
    let page = Page::default();
    let writer = page.clone();
    let lines = Lines::new(LineStyle::Json, move || writer.clone(), Arc::new(TestClock::new(START)));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
    let body = "{\"error\":{\"type\":\"authentication_error\",\"message\":\"no such key: key-of-a\"}}";
    let refused = Ok(ProbeAnswer {
        status: 401,
        headers: Vec::new(),
        body: Some(switchman::ports::probe::SecretBody::new(body.to_owned())),
    });
    let answers = [serves(), serves(), failed(), failed(), refused.clone(), refused, exhausted(60 * MINUTE), serves()];
    let (rig, prober) = probed(MINUTE, answers).await;
    until_asked(&rig, &prober, 9).await;
    let text = String::from_utf8(page.0.lock().expect("whole").clone()).expect("text");
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of_probes =
        events.iter().filter(|event| event["event"].as_str().is_some_and(|name| name.starts_with("probe.")));
    let told: Vec<String> = of_probes
        .map(|event| {
            format!("{} {}", event["event"].as_str().unwrap_or_default(), event["outcome"].as_str().unwrap_or("-"))
        })
        .collect();
    let expected = [
        "probe.answered served",
        "probe.failed -",
        "probe.refused -",
        "probe.answered exhausted",
        "probe.answered served",
    ];
    assert_eq!(told, expected);
    assert!(!text.contains("key-of-a"), "the credential is told to nobody");
    let metrics = rig.metrics().await;
    for (outcome, count) in [("served", 4), ("failed", 2), ("refused", 2), ("exhausted", 1)] {
        let line = format!("switchman_probes_total{{subscription=\"a\",outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    rig.stop().await;
}

struct Nowhere;

impl Places for Nowhere {
    fn settle<'a>(&'a self, _: &'a AgentName) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

async fn reload(rig: &Rig, probes: Vec<ProbePlan>) {
    let agents = ["one", "two"].map(|name| (AgentName::from(name), Arc::new(testing::policy()))).to_vec();
    let new = Reconfiguration {
        agents,
        moved: std::collections::BTreeSet::new(),
        subscriptions: ["a", "b", "c"].map(subscription).to_vec(),
        reread: Vec::new(),
        notifiers: Vec::new(),
        probes,
        restarts_in_parallel: 8,
        splay: Duration::ZERO,
        pool: PoolSettings::default(),
        keep: Duration::from_secs(86_400),
        keep_bytes: 1 << 30,
        places: Arc::new(Nowhere),
    };
    rig.reconfigurer().reconfigure(new).await.expect("the actors are there");
}

#[tokio::test(start_paused = true)]
async fn a_reload_begins_ends_and_changes_probes_and_makes_none_come_sooner_than_a_minute() {
    let (rig, prober) = probed(5 * MINUTE, [serves()]).await;
    until_asked(&rig, &prober, 1).await;
    let first = rig.elapsed();
    // Many reloads, each with another plan: as if somebody could not make up their mind.
    for seconds in 0..50 {
        reload(&rig, vec![plan("a", MINUTE + Duration::from_secs(seconds))]).await;
        rig.sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(prober.asked().len(), 1, "after {:?}", rig.elapsed().saturating_sub(first));
    until_asked(&rig, &prober, 2).await;
    assert!(rig.elapsed().saturating_sub(first) >= MINUTE);
    reload(&rig, vec![plan("b", MINUTE)]).await;
    rig.sleep(5 * MINUTE).await;
    let asked = prober.asked();
    assert!(asked.len() >= 5 && asked[2..].iter().all(|(plan, _)| plan.subscription.as_str() == "b"), "{asked:?}");
    reload(&rig, Vec::new()).await;
    let before = prober.asked().len();
    rig.sleep(30 * MINUTE).await;
    assert_eq!(prober.asked().len(), before);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_holds_up_neither_a_stop_nor_another_one() {
    let prober = Arc::new(FakeProber::default());
    prober.is_silent(true);
    let rig = Rig::new(&["one"]).runs("one", "a");
    let rig = rig.probing(&prober, &[plan("a", MINUTE), plan("b", MINUTE)]).start().await;
    until_asked(&rig, &prober, 2).await;
    let asked: Vec<String> = prober.asked().iter().map(|(plan, _)| plan.subscription.to_string()).collect();
    assert!(asked.contains(&"a".to_owned()) && asked.contains(&"b".to_owned()), "{asked:?}");
    assert_eq!(rig.report("one", limit(Some("a"), Some(1))).await.outcome, Outcome::Switching);
    let before = rig.elapsed();
    rig.stop().await;
    assert!(before < 5 * MINUTE);
}
