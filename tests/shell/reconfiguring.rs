//! Another config for actors that run: who comes, who goes, who is told something else, and who is not told at all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::actor::handle::ReportError;
use switchman::actor::root::{Places, Reconfiguration, Reconfigured};
use switchman::actor::turns::TurnError;
use switchman::domain::{
    AgentName, Apply, CauseBy, Generation, IntentOutcome, NotifyEvent, Outcome, Report, Reporter, SessionName,
    SubscriptionName, Trust, TurnClass,
};
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;
use switchman::machine::agent::{AgentState, Command, Phase, testing};
use switchman::machine::policy::{Policy, TextPolicy};
use switchman::machine::turns::Begin;
use switchman::ports::Pending;

use crate::rig::{Rig, limit, subscription};

/// Takes note of who is settled.
#[derive(Default)]
struct Noted(Mutex<Vec<AgentName>>);

impl Places for Noted {
    fn settle<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, ()> {
        Box::pin(async move { self.0.lock().expect("whole").push(agent.clone()) })
    }
}

/// A config in the making.
struct Config {
    agents: Vec<(AgentName, Arc<Policy>)>,
    moved: BTreeSet<AgentName>,
    subscriptions: Vec<&'static str>,
    places: Arc<Noted>,
}

/// What the rig begins with: these agents on all three subscriptions.
fn config(agents: &[&str]) -> Config {
    let agents = agents.iter().map(|name| (AgentName::from(*name), Arc::new(testing::policy()))).collect();
    Config { agents, moved: BTreeSet::new(), subscriptions: vec!["a", "b", "c"], places: Arc::default() }
}

/// The defaults with these subscriptions only.
fn only(subscriptions: &[&str]) -> Arc<Policy> {
    Arc::new(Policy {
        subscriptions: subscriptions.iter().map(|name| SubscriptionName::from(*name)).collect(),
        ..testing::policy()
    })
}

impl Config {
    fn with(mut self, agent: &str, policy: Arc<Policy>) -> Self {
        self.agents.retain(|(name, _)| name.as_str() != agent);
        self.agents.push((agent.into(), policy));
        self
    }

    fn subscriptions(mut self, subscriptions: &[&'static str]) -> Self {
        self.subscriptions = subscriptions.to_vec();
        self
    }

    fn moved(mut self, agent: &str) -> Self {
        self.moved.insert(agent.into());
        self
    }

    async fn holds(self, rig: &Rig) -> Reconfigured {
        let new = Reconfiguration {
            agents: self.agents,
            moved: self.moved,
            subscriptions: self.subscriptions.into_iter().map(subscription).collect(),
            reread: Vec::new(),
            probes: Vec::new(),
            notifiers: Vec::new(),
            restarts_in_parallel: 8,
            splay: Duration::ZERO,
            pool: switchman::machine::policy::PoolSettings::default(),
            keep: Duration::from_secs(86_400),
            keep_bytes: 1 << 30,
            places: self.places,
        };
        rig.reconfigurer().reconfigure(new).await.expect("the actors are there")
    }
}

async fn serving(agents: &[&str]) -> Rig {
    let rig = agents.iter().fold(Rig::new(agents), |rig, agent| rig.runs(agent, "a")).start().await;
    for agent in agents {
        rig.until(agent, |state| state.sighting.is_some() && state.assignment.is_some()).await;
    }
    rig
}

fn serves(on: &'static str, generation: u64) -> impl Fn(&AgentState) -> bool {
    move |state| {
        matches!(state.phase, Phase::Serving)
            && state.subscription().map(SubscriptionName::as_str) == Some(on)
            && state.generation() == Generation(generation)
    }
}

async fn is_gone(rig: &Rig, agent: &str) {
    for _ in 0..10_000 {
        if rig.switchman().agent(agent).is_none() {
            return;
        }
        rig.sleep(Duration::from_millis(50)).await;
    }
    panic!("{agent} never went");
}

async fn is_there(rig: &Rig, agent: &str) {
    for _ in 0..10_000 {
        if rig.switchman().agent(agent).is_some() {
            return;
        }
        rig.sleep(Duration::from_millis(50)).await;
    }
    panic!("{agent} never came");
}

fn starts(rig: &Rig, agent: &str) -> u64 {
    rig.world.starts_ordered(&agent.into())
}

#[tokio::test(start_paused = true)]
async fn the_same_config_is_nothing_and_a_change_of_one_agent_is_not_even_told_to_another() {
    let rig = serving(&["one", "two"]).await;
    rig.sleep(Duration::from_secs(5)).await;
    let (looks_of_one, looks_of_two) = (rig.looks("one"), rig.looks("two"));
    assert!(config(&["one", "two"]).holds(&rig).await.is_nothing());
    let drain = Arc::new(Policy { drain: Duration::from_secs(1), ..testing::policy() });
    let changed = config(&["one", "two"]).with("one", drain).holds(&rig).await;
    assert_eq!(changed.changed, ["one".into()]);
    rig.sleep(Duration::from_secs(5)).await;
    assert!(rig.looks("one") > looks_of_one, "whoever has another policy looks at what it means");
    assert_eq!(rig.looks("two"), looks_of_two);
    assert_eq!((starts(&rig, "one"), starts(&rig, "two")), (0, 0));
    assert_eq!(rig.state("one").generation(), Generation(1));
    assert_eq!(rig.switchman().agent("one").expect("known").policy.drain, Duration::from_secs(1));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_goes_moves_who_runs_on_it_once_and_nobody_else() {
    let rig = Rig::new(&["one", "two"]).runs("one", "a").runs("two", "b").start().await;
    for agent in ["one", "two"] {
        rig.until(agent, |state| state.assignment.is_some()).await;
    }
    let changed = config(&[]).with("one", only(&["b", "c"])).with("two", only(&["b", "c"])).subscriptions(&["b", "c"]);
    let changed = changed.holds(&rig).await;
    assert_eq!(changed.subscriptions.removed, ["a".into()]);
    rig.until("one", serves("c", 2)).await;
    rig.sleep(Duration::from_secs(600)).await;
    assert_eq!((starts(&rig, "one"), starts(&rig, "two")), (1, 0));
    let state = rig.state("one");
    let last = state.last.as_ref().expect("a switch");
    assert_eq!(last.intent.cause.by, CauseBy::Reload);
    assert!(state.budget.is_empty(), "it is not counted: {:?}", state.budget);
    assert_eq!(rig.notifications(NotifyEvent::Switch), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_nobody_else_the_agent_is_exhausted_and_goes_on_when_a_subscription_comes() {
    let rig = serving(&["one"]).await;
    config(&[]).with("one", only(&["b"])).subscriptions(&["c"]).holds(&rig).await;
    rig.until("one", |state| matches!(state.phase, Phase::Exhausted { .. })).await;
    assert_eq!(starts(&rig, "one"), 0);
    let before = rig.elapsed();
    config(&[]).with("one", only(&["b"])).subscriptions(&["b", "c"]).holds(&rig).await;
    rig.until("one", serves("b", 2)).await;
    assert!(
        rig.elapsed().saturating_sub(before) < Duration::from_secs(10),
        "it was woken, and did not wait for its wake-up"
    );
    assert_eq!(starts(&rig, "one"), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_agent_is_moved_when_the_pause_ends() {
    let rig = serving(&["one"]).await;
    rig.command("one", Command::Pause { until: None }).await;
    config(&[]).with("one", only(&["b"])).holds(&rig).await;
    rig.sleep(Duration::from_secs(300)).await;
    assert_eq!(starts(&rig, "one"), 0);
    rig.command("one", Command::Resume).await;
    rig.until("one", serves("b", 2)).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_before_the_delivery_is_given_up_for_another() {
    let rig = serving(&["one"]).await;
    let gate = Gate::closed();
    rig.world.on_delivery(&"one".into(), Call::Preflight, Fault::Held(gate.clone()));
    // The look of a resting agent goes there as well.
    let switchman = rig.switchman();
    let report = tokio::spawn(async move { switchman.report("one", limit(Some("a"), Some(1)), 0).await });
    rig.until("one", |state| matches!(state.phase, Phase::Draining(_))).await;
    report.await.expect("runs").expect("taken");
    let to = rig.state("one").phase.intent().expect("open").to.clone();
    let rest: Vec<&str> = ["a", "b", "c"].into_iter().filter(|name| *name != to.as_str()).collect();
    config(&[]).with("one", only(&rest)).holds(&rig).await;
    rig.until("one", |state| matches!(state.phase, Phase::Serving) && state.generation() == Generation(3)).await;
    gate.open();
    assert_ne!(rig.state("one").subscription(), Some(&to));
    assert_eq!(starts(&rig, "one"), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_after_the_delivery_is_finished_and_then_left() {
    let rig = serving(&["one"]).await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    rig.report("one", limit(Some("a"), Some(1))).await;
    gate.until_reached().await;
    let to = rig.state("one").phase.intent().expect("open").to.clone();
    let rest: Vec<&str> = ["b", "c"].into_iter().filter(|name| *name != to.as_str()).collect();
    config(&[]).with("one", only(&rest)).holds(&rig).await;
    rig.sleep(Duration::from_secs(1)).await;
    gate.open();
    rig.until("one", |state| matches!(state.phase, Phase::Serving) && state.generation() == Generation(3)).await;
    assert_eq!(rig.state("one").subscription().map(SubscriptionName::as_str), Some(rest[0]));
    assert_eq!(starts(&rig, "one"), 2, "each switch has its one restart");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_goes_keeps_its_container_and_is_the_same_when_it_comes_back() {
    let rig = serving(&["one", "two"]).await;
    rig.report("one", limit(Some("a"), Some(1))).await;
    rig.until("one", |state| matches!(state.phase, Phase::Serving) && state.generation() == Generation(2)).await;
    let on = rig.state("one").subscription().cloned();
    let gone = config(&["two"]).holds(&rig).await;
    assert_eq!(gone.removed, ["one".into()]);
    is_gone(&rig, "one").await;
    let refused = rig.switchman().report("one", limit(None, None), 0).await;
    assert!(matches!(refused, Err(ReportError::NoSuchAgent(_))), "{refused:?}");
    let counted = rig.switchman().subscriptions().await.expect("the pool answers");
    assert!(counted.iter().all(|status| !status.agents.contains(&"one".into())), "{counted:?}");
    rig.sleep(Duration::from_secs(60)).await;
    let starts_before = starts(&rig, "one");
    let back = config(&["one", "two"]);
    let places = Arc::clone(&back.places);
    assert_eq!(back.holds(&rig).await.added, ["one".into()]);
    is_there(&rig, "one").await;
    assert_eq!(*places.0.lock().expect("whole"), ["one".into()]);
    rig.until("one", |state| state.sighting.is_some()).await;
    let state = rig.state("one");
    assert_eq!((state.subscription(), state.generation()), (on.as_ref(), Generation(2)));
    assert_eq!(starts(&rig, "one"), starts_before);
    let counted = rig.switchman().subscriptions().await.expect("the pool answers");
    assert!(counted.iter().any(|status| status.agents.contains(&"one".into())), "{counted:?}");
    rig.report("one", limit(None, Some(2))).await;
    rig.until("one", |state| state.generation() == Generation(3)).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_goes_before_the_delivery_is_not_touched() {
    let rig = serving(&["one"]).await;
    let gate = Gate::closed();
    rig.world.on_delivery(&"one".into(), Call::Preflight, Fault::Held(gate.clone()));
    let switchman = rig.switchman();
    let report = tokio::spawn(async move { switchman.report("one", limit(Some("a"), Some(1)), 0).await });
    rig.until("one", |state| matches!(state.phase, Phase::Draining(_))).await;
    report.await.expect("runs").expect("taken");
    let id = rig.state("one").phase.intent().expect("open").id.clone();
    config(&[]).holds(&rig).await;
    gate.open();
    rig.sleep(Duration::from_secs(60)).await;
    assert_eq!(starts(&rig, "one"), 0);
    assert_eq!(rig.world.calls(&"one".into(), Call::Deliver), 0);
    let ended = rig.switchman().store().intent(&id).await.expect("readable").expect("known");
    assert_eq!(ended.end.map(|end| end.outcome), Some(IntentOutcome::Cancelled));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_goes_after_the_delivery_is_finished_first_and_comes_back_only_then() {
    let rig = serving(&["one"]).await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    rig.report("one", limit(Some("a"), Some(1))).await;
    gate.until_reached().await;
    let (gone, back) = (config(&[]), config(&["one"]));
    let (settled, settled_again) = (Arc::clone(&gone.places), Arc::clone(&back.places));
    gone.holds(&rig).await;
    rig.sleep(Duration::from_secs(5)).await;
    back.holds(&rig).await;
    rig.sleep(Duration::from_secs(5)).await;
    assert!(rig.switchman().agent("one").is_none(), "somebody still acts for it");
    assert!(settled.0.lock().expect("whole").is_empty() && settled_again.0.lock().expect("whole").is_empty());
    gate.open();
    is_there(&rig, "one").await;
    rig.until("one", |state| state.sighting.is_some() && matches!(state.phase, Phase::Serving)).await;
    assert_eq!(rig.state("one").generation(), Generation(2));
    assert_eq!(starts(&rig, "one"), 1);
    assert_eq!(settled_again.0.lock().expect("whole").as_slice(), ["one".into()]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_runs_somewhere_else_is_begun_anew_and_restarted_by_nobody() {
    let rig = serving(&["one"]).await;
    let elsewhere = config(&["one"]).moved("one");
    let places = Arc::clone(&elsewhere.places);
    assert_eq!(elsewhere.holds(&rig).await.moved, ["one".into()]);
    is_there(&rig, "one").await;
    rig.until("one", |state| state.sighting.is_some()).await;
    assert_eq!(places.0.lock().expect("whole").as_slice(), ["one".into()]);
    assert_eq!((rig.state("one").generation(), starts(&rig, "one")), (Generation(1), 0));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_of_an_agent_that_goes_is_told() {
    let rig = serving(&["one"]).await;
    let begin = |holder: &str, wait| Begin {
        session: SessionName::from("chat"),
        class: TurnClass::Interactive,
        holder: holder.to_owned(),
        wait,
        preempt: false,
        after: None,
        key: None,
    };
    let switchman = rig.switchman();
    let held = switchman.begin_turn("one", begin("A", None)).await.expect("free");
    held.place.keep();
    let asked = begin("B", Some(Duration::from_secs(3600)));
    let waiting = tokio::spawn(async move { switchman.begin_turn("one", asked).await.map(|begun| begun.turn.id) });
    rig.until("one", |state| state.turns.queued() == 1).await;
    let before = rig.elapsed();
    config(&[]).holds(&rig).await;
    let told = waiting.await.expect("runs");
    assert!(matches!(told, Err(TurnError::NoSuchAgent(_))), "{told:?}");
    assert!(rig.elapsed().saturating_sub(before) < Duration::from_secs(10));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pin_to_what_is_no_longer_allowed_is_dropped() {
    let rig = serving(&["one"]).await;
    rig.command("one", Command::Pin { to: "a".into() }).await;
    config(&[]).with("one", only(&["b"])).holds(&rig).await;
    rig.until("one", serves("b", 2)).await;
    assert_eq!(rig.state("one").pin, None);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_comes_is_adopted_and_every_other_is_left_alone() {
    let rig = serving(&["one"]).await;
    let rig = rig.runs("new", "b");
    let looks = rig.looks("one");
    assert_eq!(config(&["one", "new"]).holds(&rig).await.added, ["new".into()]);
    is_there(&rig, "new").await;
    rig.until("new", serves("b", 1)).await;
    assert_eq!((starts(&rig, "new"), starts(&rig, "one")), (0, 0));
    assert_eq!(rig.looks("one"), looks);
    rig.report("new", limit(Some("b"), Some(1))).await;
    rig.until("new", |state| state.generation() == Generation(2)).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_configs_end_in_the_newest_one() {
    let rig = serving(&["one", "two"]).await;
    for number in 0..100 {
        let drain = Arc::new(Policy { drain: Duration::from_secs(number), ..testing::policy() });
        let agents: &[&str] = if number % 2 == 0 { &["one"] } else { &["one", "two"] };
        config(agents).with("one", drain).holds(&rig).await;
    }
    is_there(&rig, "two").await;
    rig.until("two", |state| state.sighting.is_some()).await;
    rig.sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.switchman().agent("one").expect("known").policy.drain, Duration::from_secs(99));
    for agent in ["one", "two"] {
        assert_eq!((rig.state(agent).generation(), starts(&rig, agent)), (Generation(1), 0), "{agent}");
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_dies_after_a_change_still_leaves_what_it_must() {
    let rig = serving(&["one"]).await;
    let written = Arc::new(Policy {
        file: testing::policy()
            .file
            .map(|file| switchman::machine::policy::FilePolicy { apply: Apply::Written, ..file }),
        ..(*only(&["b"])).clone()
    });
    rig.command("one", Command::Pause { until: None }).await;
    config(&[]).with("one", written).holds(&rig).await;
    rig.die_on_commit_of("one");
    let died = rig.switchman().report("one", limit(Some("a"), Some(1)), 0).await;
    assert!(died.is_err(), "{died:?}");
    rig.command("one", Command::Resume).await;
    rig.until("one", serves("b", 2)).await;
    assert_eq!(starts(&rig, "one"), 0, "it is only written");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_takes_the_place_of_another_one_exhausts_nobody() {
    let rig = serving(&["one"]).await;
    config(&[]).with("one", only(&["d"])).subscriptions(&["d"]).holds(&rig).await;
    rig.until("one", serves("d", 2)).await;
    assert_eq!(rig.notifications(NotifyEvent::Exhausted), 0, "its credential was read before anybody had to move");
    assert_eq!(starts(&rig, "one"), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn text_that_waits_is_judged_by_what_the_config_says_of_text_now() {
    let text =
        || Report { trust: Trust::Text, reporter: Reporter::Agent, sender: "log".to_owned(), ..limit(None, None) };
    let with = |text| Arc::new(Policy { text, ..testing::policy() });
    let rig = serving(&["one"]).await;
    assert_eq!(rig.report("one", text()).await.outcome, Outcome::Uncorroborated);
    let _ = config(&[]).with("one", with(TextPolicy::Off)).holds(&rig).await;
    rig.until("one", |state| state.claims().count() == 0).await;
    assert_eq!(rig.report("one", text()).await.outcome, Outcome::Ignored);
    let _ = config(&["one"]).holds(&rig).await;
    rig.sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.report("one", text()).await.outcome, Outcome::Uncorroborated);
    let _ = config(&[]).with("one", with(TextPolicy::Trusted)).holds(&rig).await;
    rig.until("one", serves("b", 2)).await;
    rig.stop().await;
}
