//! What goes wrong in the middle of something: the disk, the source of a credential, the daemon itself.

use std::time::Duration;

use switchman::domain::{FailureKind, Generation, IntentOutcome, NotifyEvent, Outcome, ReportId, SubscriptionName};
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;
use switchman::drivers::fingerprint::fingerprint;
use switchman::machine::agent::{AgentState, Command, Phase};
use switchman::ports::delivery::DeliveryError;
use switchman::ports::runtime::Runtime as _;
use switchman::ports::store::StoreError;

use crate::rig::{Rig, limit};

fn serves_in(generation: u64) -> impl Fn(&AgentState) -> bool {
    move |state| state.generation() == Generation(generation) && matches!(state.phase, Phase::Serving)
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("disk full".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_source_that_goes_after_the_rename_does_not_hold_up_the_restart() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", serves_in(1)).await;
    let gate = Gate::closed();
    rig.world.on_delivery(&"one".into(), Call::Deliver, Fault::AnswerHeld(gate.clone()));
    rig.report("one", limit(Some("a"), Some(1))).await;
    gate.until_reached().await;
    rig.set_key("b", None);
    gate.open();
    rig.until("one", |state| !state.phase.is_switching()).await;
    let state = rig.state("one");
    let outcome = state.last.as_ref().and_then(|last| last.end.as_ref()).map(|end| end.outcome);
    assert_eq!((outcome, state.phase.as_str()), (Some(IntentOutcome::Ready), "serving"));
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    assert_eq!(rig.world.runs_on(&"one".into()), Some(fingerprint(b"key-of-b")));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_fails_after_the_rename_is_finished() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", serves_in(1)).await;
    let error = || DeliveryError::Incomplete { path: "/the/file".to_owned(), why: "sync its folder: EIO".to_owned() };
    rig.world.on_delivery(&"one".into(), Call::Deliver, Fault::DoneButFails(error()));
    rig.report("one", limit(Some("a"), Some(1))).await;
    rig.until("one", |state| !state.phase.is_switching()).await;
    let state = rig.state("one");
    assert_eq!(state.generation(), Generation(2), "{state:#?}");
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    assert_eq!(rig.world.runs_on(&"one".into()), Some(fingerprint(b"key-of-b")));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_switch_the_new_life_is_known() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", serves_in(1)).await;
    rig.report("one", limit(Some("a"), Some(1))).await;
    rig.until("one", serves_in(2)).await;
    rig.sleep(Duration::from_secs(5)).await;
    let present = rig.world.look(&"one".into()).await.expect("answers").instance;
    let known = rig.state("one").sighting.as_ref().and_then(|seen| seen.instance.clone());
    assert_eq!(known, present);
    rig.stop().await;
}

/// An agent that has been through everything there is.
async fn exhausted() -> Rig {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    for (name, generation) in [("a", 1), ("b", 2), ("c", 3)] {
        rig.until("one", serves_in(generation)).await;
        rig.report("one", limit(Some(name), Some(generation))).await;
    }
    assert!(matches!(rig.state("one").phase, Phase::Exhausted { .. }));
    rig
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_exhausted_before_a_restart_hears_of_a_cleared_cooldown() {
    let rig = exhausted().await.restart().await;
    assert!(matches!(rig.state("one").phase, Phase::Exhausted { .. }));
    rig.sleep(Duration::from_secs(60)).await;
    rig.switchman().clear_cooldown(SubscriptionName::from("a")).await.expect("cleared");
    rig.sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.state("one").subscription().map(SubscriptionName::as_str), Some("a"));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_not_tried_in_a_circle() {
    let mut rig = Rig::new(&["one"]);
    rig.world.add(&"one".into(), switchman::drivers::fake::runtime::Place::File);
    rig.store.fail_commits(20, &unavailable());
    rig = rig.start().await;
    // It has no credential yet, and is to be given one: that is a decision which cannot be written down.
    rig.sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.state("one").assignment, None, "20 tries in 10 s");
    rig.sleep(Duration::from_secs(120)).await;
    assert!(rig.state("one").assignment.is_some(), "it goes on when there is room again");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_although_the_answer_was_lost_is_known_to_the_pool() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", serves_in(1)).await;
    rig.store.lose_answers(1, &unavailable());
    let lost = rig.switchman().report("one", limit(Some("a"), Some(1)), 0).await;
    assert!(lost.is_err(), "{lost:?}");
    rig.until("one", serves_in(2)).await;
    assert_eq!(rig.state("one").subscription().map(SubscriptionName::as_str), Some("b"));
    let answer = rig.report("one", limit(Some("b"), Some(2))).await;
    assert_eq!(answer.outcome, Outcome::Switching);
    rig.until("one", serves_in(3)).await;
    assert_eq!(rig.state("one").subscription().map(SubscriptionName::as_str), Some("c"), "back to what cools");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_credential_that_ends_a_quarantine_reaches_the_agent() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    for (name, generation, kind) in
        [("a", 1, FailureKind::Billing), ("b", 2, FailureKind::Billing), ("c", 3, FailureKind::Auth)]
    {
        rig.until("one", serves_in(generation)).await;
        let mut report = limit(Some(name), Some(generation));
        report.kind = kind;
        rig.report("one", report).await;
    }
    assert!(matches!(rig.state("one").phase, Phase::Exhausted { .. }));
    rig.set_key("c", Some("new-key-of-c"));
    rig.until("one", serves_in(4)).await;
    assert_eq!(rig.world.runs_on(&"one".into()), Some(fingerprint(b"new-key-of-c")));
    assert_eq!(rig.notifications(NotifyEvent::Woken), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_count_is_lost_when_many_sorts_of_reports_come_in_turn() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", serves_in(1)).await;
    rig.command("one", Command::Pause { until: None }).await;
    for model in 0..40 {
        for _ in 0..3 {
            let mut report = limit(Some("a"), Some(1));
            report.model = Some(format!("model-{model}").into());
            rig.report("one", report).await;
        }
    }
    rig.sleep(Duration::from_secs(1)).await;
    let counts: u64 = rig.failures("one").await.iter().map(|failure| failure.count).sum();
    assert_eq!(counts, 120);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_may_be_used_again_once_it_is_forgotten() {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", serves_in(1)).await;
    rig.command("one", Command::Pause { until: None }).await;
    let mut report = limit(Some("a"), Some(1));
    report.id = Some(ReportId::from("monday"));
    assert!(!rig.report("one", report.clone()).await.duplicate);
    assert!(rig.report("one", report.clone()).await.duplicate);
    rig.sleep(Duration::from_secs(26 * 3600)).await;
    assert!(!rig.report("one", report.clone()).await.duplicate);
    assert!(rig.report("one", report).await.duplicate);
    rig.stop().await;
}
