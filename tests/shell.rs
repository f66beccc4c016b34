//! The actors under a paused clock, on fakes: what the shell adds to the machine, and must not lose.

#[path = "shell/logs.rs"]
mod logs;
#[path = "shell/overheard.rs"]
mod overheard;
#[path = "shell/pacing.rs"]
mod pacing;
#[path = "shell/pool.rs"]
mod pool;
#[path = "shell/probes.rs"]
mod probes;
#[path = "shell/reconfiguring.rs"]
mod reconfiguring;
#[path = "shell/rig.rs"]
mod rig;
#[path = "shell/telling.rs"]
mod telling;
#[path = "shell/troubles.rs"]
mod troubles;
#[path = "shell/trust.rs"]
mod trust;
#[path = "shell/turns.rs"]
mod turns;

use std::time::Duration;

use rig::{Rig, limit};
use switchman::domain::{FailureKind, Generation, IntentOutcome, NotifyEvent, Outcome, ReportId, SubscriptionName};
use switchman::drivers::fake::runtime::Call;
use switchman::machine::agent::{Command, Phase};

#[tokio::test(start_paused = true)]
async fn a_running_container_is_adopted_without_a_restart() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    let state = rig.state("one");
    assert_eq!(state.generation(), Generation(1));
    assert_eq!(state.subscription().map(SubscriptionName::as_str), Some("a"));
    assert_eq!(rig.world.starts_ordered(&"one".into()), 0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_makes_one_switch_and_one_restart() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    let reports = (0..100).map(|number| {
        let mut report = limit(Some("a"), Some(1));
        report.id = Some(ReportId::from(format!("r{number}")));
        rig.report("one", report)
    });
    let answers = futures_util::future::join_all(reports).await;
    let switching = answers.iter().filter(|answer| answer.outcome == Outcome::Switching).count();
    assert_eq!(switching, 1, "{answers:#?}");
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    let state = rig.state("one");
    assert_eq!(
        state.last.as_ref().and_then(|last| last.end.as_ref()).map(|end| end.outcome),
        Some(IntentOutcome::Ready)
    );
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    assert_eq!(rig.notifications(NotifyEvent::Switch), 1);
    let late = rig.report("one", limit(Some("a"), Some(1))).await;
    assert_eq!(late.outcome, Outcome::Stale);
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_nobody_left_the_agent_is_exhausted_and_goes_on_at_the_reset_without_a_restart() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    for (name, generation) in [("a", 1), ("b", 2), ("c", 3)] {
        rig.until("one", |state| state.generation() == Generation(generation)).await;
        let answer = rig.report("one", limit(Some(name), Some(generation))).await;
        let expected = if name == "c" { Outcome::Exhausted } else { Outcome::Switching };
        assert_eq!(answer.outcome, expected, "{answer:?}");
    }
    let restarts = rig.world.starts_ordered(&"one".into());
    assert!(matches!(rig.state("one").phase, Phase::Exhausted { .. }));
    assert_eq!(rig.notifications(NotifyEvent::Exhausted), 1);
    rig.until("one", |state| state.phase.as_str() == "serving").await;
    assert!(rig.elapsed() >= Duration::from_secs(2 * 3600), "{:?}", rig.elapsed());
    // By the time its jitter is over its own subscription serves again as well: no reason to move.
    assert_eq!(rig.state("one").subscription().map(SubscriptionName::as_str), Some("c"));
    assert_eq!(rig.world.starts_ordered(&"one".into()), restarts);
    assert_eq!(rig.notifications(NotifyEvent::Woken), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_answers_and_leaves_everything_as_it_was() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    let full = switchman::ports::store::StoreError::Unavailable("disk full".to_owned());
    rig.store.fail_commits(1, &full);
    let refused = rig.switchman().report("one", limit(Some("a"), Some(1)), 0).await;
    assert!(refused.is_err(), "{refused:?}");
    rig.until("one", |state| matches!(state.phase, Phase::Serving)).await;
    assert_eq!(rig.state("one").generation(), Generation(1));
    assert_eq!(rig.world.calls(&"one".into(), Call::Deliver), 0);
    let answer = rig.report("one", limit(Some("a"), Some(1))).await;
    assert_eq!(answer.outcome, Outcome::Switching);
    rig.until("one", |state| state.generation() == Generation(2)).await;
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn repeats_without_id_are_counted_and_written_down_within_a_second() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    rig.command("one", Command::Pause { until: None }).await;
    for _ in 0..1000 {
        let mut report = limit(Some("a"), Some(1));
        report.kind = FailureKind::Auth;
        assert_eq!(rig.report("one", report).await.outcome, Outcome::Recorded);
    }
    rig.sleep(Duration::from_secs(1)).await;
    let failures = rig.failures("one").await;
    assert_eq!(failures.iter().map(|failure| failure.count).collect::<Vec<_>>(), [1000]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn agents_that_leave_together_spread() {
    let names: Vec<String> = (0..10).map(|number| format!("agent-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::new(&names);
    for name in &names {
        rig = rig.runs(name, "a");
    }
    let rig = rig.start().await;
    for name in &names {
        rig.until(name, |state| state.assignment.is_some()).await;
    }
    let reports = names.iter().map(|name| rig.report(name, limit(Some("a"), Some(1))));
    futures_util::future::join_all(reports).await;
    let mut counts = std::collections::BTreeMap::new();
    for name in &names {
        rig.until(name, |state| state.generation() == Generation(2)).await;
        *counts.entry(rig.state(name).subscription().cloned()).or_insert(0) += 1;
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [5, 5], "{counts:?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_dies_comes_back_with_what_was_queued_and_hurts_nobody_else() {
    let rig = Rig::new(&["one", "two"]).runs("one", "a").runs("two", "b").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    rig.until("two", |state| state.assignment.is_some()).await;
    rig.die_on_commit_of("one");
    let died = rig.switchman().report("one", limit(Some("a"), Some(1)), 0).await;
    assert!(died.is_err(), "{died:?}");
    // The next life begins from the store and takes what is in the intake.
    let answer = rig.report("one", limit(Some("a"), Some(1))).await;
    assert_eq!(answer.outcome, Outcome::Switching);
    rig.until("one", |state| state.generation() == Generation(2)).await;
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    assert_eq!(rig.state("two").generation(), Generation(1));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_dies_again_and_again_is_parked_and_the_others_go_on() {
    let rig = Rig::new(&["one", "two"]).runs("one", "a").runs("two", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    rig.until("two", |state| state.assignment.is_some()).await;
    for _ in 0..7 {
        rig.die_on_commit_of("one");
        if rig.switchman().report("one", limit(Some("a"), Some(1)), 0).await.is_ok() {
            break;
        }
    }
    rig.until("one", |state| matches!(state.phase, Phase::Parked { .. })).await;
    assert_eq!(rig.notifications(NotifyEvent::Parked), 1);
    rig.live_again();
    assert_eq!(rig.report("one", limit(Some("a"), Some(1))).await.outcome, Outcome::Recorded);
    assert_eq!(rig.report("two", limit(Some("a"), Some(1))).await.outcome, Outcome::Switching);
    rig.until("two", |state| state.generation() == Generation(2)).await;
    rig.stop().await;
}
