//! The same from inside: what the library answers, by type; and what would take too long from outside, on a clock that
//! jumps.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use switchman::actor::turns::{Begun, TurnError};
use switchman::domain::{
    FailureKind, Generation, Outcome, Report, SessionName, SubscriptionName, TurnClass, TurnEnd, TurnId,
};
use switchman::machine::agent::Phase;
use switchman::machine::turns::{Begin, TurnRefusal};

use crate::fakes::{Rig, limit};

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

fn turn(agent: &str, number: u64) -> TurnId {
    TurnId { agent: agent.into(), number }
}

async fn one() -> Rig {
    let rig = Rig::new(&["one"]).runs("one", "a").start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    rig
}

/// A turn that is taken, and the token of its holder.
async fn taken(rig: &Rig, begin: Begin) -> (TurnId, SecretString) {
    let Begun { turn, token, place, .. } = rig.switchman().begin_turn("one", begin).await.expect("granted");
    place.keep();
    rig.switchman().beat_turn(&turn.id, &token).await.expect("taken");
    (turn.id, token)
}

/// What everything that is done to a turn is answered.
async fn refusals(rig: &Rig, id: &TurnId, token: &SecretString) -> Vec<TurnError> {
    let switchman = rig.switchman();
    vec![
        switchman.beat_turn(id, token).await.expect_err("refused"),
        switchman.complete_turn(id, token, true, None).await.map(|_| ()).expect_err("refused"),
        switchman.cancelled_turn(id, token).await.map(|_| ()).expect_err("refused"),
    ]
}

#[tokio::test(start_paused = true)]
async fn row2_what_was_never_begun_has_ended_or_was_cut_off_is_a_type_of_its_own() {
    let rig = one().await;
    let unknown = SecretString::from("x");
    for id in [turn("one", 7), turn("one", 0), turn("nobody", 1)] {
        for error in refusals(&rig, &id, &unknown).await {
            assert!(matches!(&error, TurnError::Refused(TurnRefusal::NotFound(of)) if *of == id), "{error:?}");
        }
        let error = rig.switchman().cancel_turn(&id, "x".to_owned()).await.expect_err("refused");
        assert!(matches!(&error, TurnError::Refused(TurnRefusal::NotFound(of)) if *of == id), "{error:?}");
    }
    let error = rig.switchman().begin_turn("nobody", begin("quiz", "x")).await.map(|_| ()).expect_err("refused");
    assert!(matches!(&error, TurnError::NoSuchAgent(name) if name == "nobody"), "{error:?}");

    let (first, token) = taken(&rig, begin("quiz", "q1")).await;
    for error in refusals(&rig, &first, &unknown).await {
        assert!(matches!(&error, TurnError::NotTheHolder(of) if *of == first), "{error:?}");
    }
    rig.switchman().complete_turn(&first, &token, true, None).await.expect("done");
    for error in refusals(&rig, &first, &token).await {
        let TurnError::AlreadyComplete { id, ended: Some(ended) } = &error else { panic!("{error:?}") };
        assert_eq!((id, ended.end), (&first, TurnEnd::Complete));
    }

    let (cut_off, token) = taken(&rig, begin("quiz", "q2")).await;
    let failure = Report { turn: Some(cut_off.clone()), ..limit(None, Some(1)) };
    assert_eq!(rig.report("one", failure).await.outcome, Outcome::Switching);
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    let switch = rig.state("one").last.as_ref().map(|last| last.intent.id.clone());
    for error in refusals(&rig, &cut_off, &token).await {
        let TurnError::CutOff { id, ended } = &error else { panic!("{error:?}") };
        assert_eq!((id, &ended.by), (&cut_off, &switch));
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn row2_out_of_step_and_a_finished_session_are_types_of_their_own() {
    let rig = one().await;
    let (first, token) = taken(&rig, begin("quiz", "q1")).await;
    let refused = async |begin: Begin| match rig.switchman().begin_turn("one", begin).await.map(|_| ()) {
        Err(TurnError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    match refused(begin("quiz", "double click")).await {
        TurnRefusal::InProgress { turn } => assert_eq!((&turn.id, turn.holder.as_str()), (&first, "q1")),
        other => panic!("{other:?}"),
    }
    let after = |id: &TurnId| Begin { after: Some(id.clone()), ..begin("quiz", "next") };
    assert_eq!(refused(after(&first)).await, TurnRefusal::OutOfStep { last: None });
    rig.switchman().complete_turn(&first, &token, true, None).await.expect("done");
    let (second, token) = taken(&rig, after(&first)).await;
    rig.switchman().complete_turn(&second, &token, true, None).await.expect("done");
    assert_eq!(refused(after(&first)).await, TurnRefusal::OutOfStep { last: Some(second.clone()) });
    let last = rig.switchman().close_session("one", SessionName::from("quiz")).await.expect("closed");
    assert_eq!(last, Some(second.clone()));
    assert_eq!(refused(after(&second)).await, TurnRefusal::SessionComplete);
    rig.stop().await;
}

/// The measure: ten minutes, and somebody who waits all the while.
#[tokio::test(start_paused = true)]
async fn row1_a_turn_of_ten_minutes_with_heartbeats_is_untouched() {
    let rig = one().await;
    let (slow, token) = taken(&rig, begin("chat", "slow")).await;
    let switchman = rig.switchman();
    let patient = Begin { wait: Some(Duration::from_secs(3600)), ..begin("chat", "patient") };
    let waits = tokio::spawn(async move { switchman.begin_turn("one", patient).await });
    rig.until("one", |state| state.turns.queued() == 1).await;
    let end = rig.elapsed() + Duration::from_secs(600);
    while rig.elapsed() < end {
        rig.sleep(Duration::from_secs(20)).await;
        let beaten = rig.switchman().beat_turn(&slow, &token).await.expect("its holder's");
        assert_eq!(beaten.cancel, None);
        let error = rig.switchman().begin_turn("one", begin("chat", "hasty")).await.map(|_| ()).expect_err("refused");
        let TurnError::Refused(TurnRefusal::InProgress { turn }) = &error else { panic!("{error:?}") };
        assert_eq!(turn.id, slow);
        assert!(!waits.is_finished());
    }
    rig.switchman().complete_turn(&slow, &token, true, None).await.expect("done");
    let Begun { turn, token, place, .. } = waits.await.expect("no panic").expect("granted");
    assert_eq!((turn.id.number, turn.holder.as_str()), (slow.number + 1, "patient"));
    assert!(!token.expose_secret().is_empty());
    place.keep();
    assert_eq!(rig.world.starts_ordered(&"one".into()), 0);
    rig.stop().await;
}

/// A failure that comes with the end: the answer says what came of it, and the turn ended by its holder.
#[tokio::test(start_paused = true)]
async fn a_failure_that_comes_with_the_end_of_a_turn_is_answered() {
    let rig = one().await;
    let (id, token) = taken(&rig, begin("chat", "holder")).await;
    let report = Report { kind: FailureKind::RateLimit, ..limit(None, None) };
    let ended = rig.switchman().complete_turn(&id, &token, false, Some((report, 0))).await;
    let (_, answer) = ended.expect("done");
    let answer = answer.expect("answered");
    assert_eq!((answer.outcome, answer.generation), (Outcome::Switching, Some(Generation(1))));
    rig.until("one", |state| state.generation() == Generation(2)).await;
    assert_ne!(rig.state("one").subscription(), Some(&SubscriptionName::from("a")));
    let record = rig.switchman().turn(&id).await.expect("kept");
    assert_eq!(record.ended.map(|ended| ended.end), Some(TurnEnd::Failed));
    rig.stop().await;
}
