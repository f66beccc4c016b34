//! Turns through the actors: what a library's caller sees, and what the shell adds to the ledger.

use std::time::Duration;

use switchman::actor::turns::{Begun, TurnError};
use switchman::domain::{
    Change, Generation, IntentOutcome, Outcome, Plan, SessionName, SubscriptionName, TurnClass, TurnEnd, TurnId,
    TurnKey,
};
use switchman::machine::agent::{AgentState, Phase};
use switchman::machine::turns::{Begin, TurnRefusal};
use switchman::ports::store::StoreError;

use crate::rig::{Rig, limit};

fn begin(session: &str, holder: &str) -> Begin {
    Begin {
        session: SessionName::from(session),
        class: TurnClass::Interactive,
        holder: holder.to_owned(),
        wait: None,
        preempt: false,
        after: None,
        key: None,
    }
}

fn queued(session: &str, holder: &str) -> Begin {
    Begin { wait: Some(Duration::from_secs(3600)), ..begin(session, holder) }
}

/// The answer has reached its caller.
fn read(begun: Begun) -> (TurnId, secrecy::SecretString) {
    let Begun { turn, token, place, .. } = begun;
    place.keep();
    (turn.id, token)
}

async fn serving(agents: &[&str]) -> Rig {
    let rig = agents.iter().fold(Rig::new(agents), |rig, agent| rig.runs(agent, "a")).start().await;
    for agent in agents {
        rig.until(agent, |state| state.sighting.is_some() && state.assignment.is_some()).await;
    }
    rig
}

fn waits(count: usize) -> impl Fn(&AgentState) -> bool {
    move |state| state.turns.queued() == count
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_from_its_holder_to_the_next_in_line_and_every_refusal_is_typed() {
    let rig = serving(&["one"]).await;
    let switchman = rig.switchman();
    let (first, token) = read(switchman.begin_turn("one", begin("chat", "A")).await.expect("free"));
    let refused = switchman.begin_turn("one", begin("chat", "B")).await.err();
    assert!(
        matches!(&refused, Some(TurnError::Refused(TurnRefusal::InProgress { turn })) if turn.holder == "A"),
        "{refused:?}"
    );
    let next = tokio::spawn({
        let switchman = switchman.clone();
        async move { switchman.begin_turn("one", queued("chat", "B")).await }
    });
    rig.until("one", waits(1)).await;
    let wrong = "not the token".to_owned().into();
    assert!(matches!(switchman.beat_turn(&first, &wrong).await, Err(TurnError::NotTheHolder(_))));
    switchman.beat_turn(&first, &token).await.expect("held");
    switchman.complete_turn(&first, &token, true, None).await.expect("held");
    let (second, _) = read(next.await.expect("runs").expect("served"));
    assert_eq!(second.number, first.number + 1);
    let over = switchman.complete_turn(&first, &token, true, None).await.err();
    assert!(
        matches!(&over, Some(TurnError::AlreadyComplete { ended: Some(ended), .. }) if ended.end == TurnEnd::Complete),
        "{over:?}"
    );
    let never = TurnId { agent: "one".into(), number: 99 };
    assert!(matches!(switchman.beat_turn(&never, &token).await, Err(TurnError::Refused(TurnRefusal::NotFound(_)))));
    let stepped = Begin { after: Some(second.clone()), ..begin("chat", "C") };
    assert!(matches!(
        switchman.begin_turn("one", stepped).await.err(),
        Some(TurnError::Refused(TurnRefusal::OutOfStep { last: Some(last) })) if last == first
    ));
    switchman.close_session("one", "chat".into()).await.expect("closed");
    assert!(matches!(
        switchman.begin_turn("one", begin("chat", "C")).await.err(),
        Some(TurnError::Refused(TurnRefusal::SessionComplete))
    ));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_while_it_waits_leaves_the_line_and_a_grant_that_nobody_read_lapses_at_once() {
    let rig = serving(&["one"]).await;
    let switchman = rig.switchman();
    let (first, token) = read(switchman.begin_turn("one", begin("chat", "A")).await.expect("free"));
    let gone = tokio::spawn({
        let switchman = switchman.clone();
        async move { switchman.begin_turn("one", queued("chat", "B")).await.is_ok() }
    });
    rig.until("one", waits(1)).await;
    gone.abort();
    rig.until("one", waits(0)).await;
    switchman.complete_turn(&first, &token, true, None).await.expect("held");
    let unread = switchman.begin_turn("one", begin("chat", "C")).await.expect("free");
    let id = unread.turn.id.clone();
    let before = rig.elapsed();
    drop(unread);
    rig.until("one", |state| state.turns.is_quiet()).await;
    assert!(rig.elapsed().saturating_sub(before) < Duration::from_secs(1));
    let record = switchman.turn(&id).await.expect("kept");
    assert_eq!(record.ended.map(|ended| ended.end), Some(TurnEnd::Lapsed));
    assert_eq!(rig.world.starts_ordered(&"one".into()), 0, "nothing had begun, so nothing is fenced");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn turns_that_fail_together_hold_up_no_switch() {
    let rig = serving(&["one"]).await;
    let switchman = rig.switchman();
    let mut turns = Vec::new();
    for session in ["x", "y", "z"] {
        turns.push(read(switchman.begin_turn("one", begin(session, session)).await.expect("free")));
    }
    let before = rig.elapsed();
    let ends = turns.iter().map(|(id, token)| {
        let failure = limit(None, None);
        switchman.complete_turn(id, token, false, Some((failure, 0)))
    });
    let answers = futures_util::future::join_all(ends).await;
    let outcomes: Vec<Outcome> =
        answers.into_iter().map(|answer| answer.expect("ended").1.expect("answered").outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Switching).count(), 1, "{outcomes:?}");
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    assert!(rig.elapsed().saturating_sub(before) < Duration::from_secs(5), "nobody is waited for that has failed");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_waits_for_a_turn_until_the_drain_is_over_and_its_holder_is_told() {
    let rig = serving(&["one"]).await;
    let switchman = rig.switchman();
    let (turn, token) = read(switchman.begin_turn("one", begin("chat", "A")).await.expect("free"));
    switchman.beat_turn(&turn, &token).await.expect("held");
    let before = rig.elapsed();
    rig.report("one", limit(Some("a"), Some(1))).await;
    let refused = switchman.begin_turn("one", begin("other", "B")).await.err();
    assert!(matches!(&refused, Some(TurnError::Refused(TurnRefusal::Switching { .. }))), "{refused:?}");
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    let took = rig.elapsed().saturating_sub(before);
    assert!((Duration::from_secs(30)..Duration::from_secs(40)).contains(&took), "{took:?}");
    let cut = switchman.beat_turn(&turn, &token).await.err();
    let last = rig.state("one").last.clone().and_then(|last| last.end).expect("ended");
    assert!(matches!(&cut, Some(TurnError::CutOff { ended, .. }) if ended.by.as_ref() == Some(&last.id)), "{cut:?}");
    assert_eq!((last.outcome, last.turns_cut_off, last.restarts), (IntentOutcome::Ready, 1, 1));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_lost_is_fenced_once_and_the_next_one_starts_clean() {
    let rig = serving(&["one"]).await;
    let switchman = rig.switchman();
    let (turn, token) = read(switchman.begin_turn("one", begin("chat", "A")).await.expect("free"));
    switchman.beat_turn(&turn, &token).await.expect("held");
    let (next, _) = read(switchman.begin_turn("one", queued("chat", "B")).await.expect("served in the end"));
    assert_eq!(rig.world.starts_ordered(&"one".into()), 1);
    let state = rig.state("one");
    let last = state.last.clone().expect("a fence");
    assert_eq!((last.intent.plan, last.intent.turn.as_ref()), (Plan::Fence, Some(&turn)));
    assert_eq!(state.generation(), Generation(1));
    assert!(matches!(switchman.beat_turn(&turn, &token).await, Err(TurnError::CutOff { .. })));
    assert_eq!(state.turns.turn(next.number).map(|turn| turn.holder.as_str()), Some("B"));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_the_daemon_and_the_same_key_gets_the_same_turn() {
    let rig = serving(&["one"]).await;
    let keyed = Begin { key: Some((TurnKey::from("k"), 7)), ..begin("chat", "A") };
    let (turn, token) = read(rig.switchman().begin_turn("one", keyed.clone()).await.expect("free"));
    rig.switchman().beat_turn(&turn, &token).await.expect("held");
    let rig = rig.restart().await;
    rig.until("one", |state| state.sighting.is_some()).await;
    let switchman = rig.switchman();
    let refused = switchman.begin_turn("one", begin("chat", "B")).await.err();
    assert!(matches!(&refused, Some(TurnError::Refused(TurnRefusal::InProgress { .. }))), "{refused:?}");
    let again = switchman.begin_turn("one", keyed).await.expect("the same");
    let is_same = secrecy::ExposeSecret::expose_secret(&again.token) == secrecy::ExposeSecret::expose_secret(&token);
    assert_eq!((&again.turn.id, is_same), (&turn, true));
    let other = Begin { key: Some((TurnKey::from("k"), 8)), ..begin("chat", "A") };
    assert!(matches!(switchman.begin_turn("one", other).await.err(), Some(TurnError::Refused(TurnRefusal::KeyReused))));
    switchman.complete_turn(&turn, &token, true, None).await.expect("still held");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_begins_on_a_subscription_that_can_serve() {
    let rig = serving(&["one", "two"]).await;
    let switchman = rig.switchman();
    rig.report("two", limit(Some("a"), Some(1))).await;
    rig.until("one", |state| state.shunned_until.is_some()).await;
    assert_eq!(
        rig.state("one").subscription(),
        Some(&SubscriptionName::from("a")),
        "nobody is moved for another's word"
    );
    let begun = switchman.begin_turn("one", queued("chat", "A")).await.expect("served");
    assert_eq!((begun.turn.subscription.as_str(), begun.turn.generation), ("c", Generation(2)));
    let cause = rig.state("one").last.clone().map(|last| last.intent.cause.by);
    assert_eq!(cause, Some(switchman::domain::CauseBy::Turn));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_cannot_be_written_down_is_none() {
    let rig = serving(&["one"]).await;
    rig.store.fail_commits(1, &StoreError::Unavailable("disk full".to_owned()));
    let refused = rig.switchman().begin_turn("one", begin("chat", "A")).await.err();
    assert!(matches!(refused, Some(TurnError::NotRecorded)), "{refused:?}");
    rig.until("one", |state| state.sighting.is_some()).await;
    let (turn, _) = read(rig.switchman().begin_turn("one", begin("chat", "B")).await.expect("free"));
    assert_eq!(turn.number, 1);
    let begun = rig.store.commits().into_iter().flatten().filter(|change| matches!(change, Change::TurnBegun { .. }));
    assert_eq!(begun.count(), 1);
    rig.stop().await;
}
