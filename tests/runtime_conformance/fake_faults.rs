//! How the runtime in memory breaks its promises when it is told to.

use std::time::Duration;

use switchman::domain::{AgentName, RuntimeState};
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::{Call, FakeWorld, Place};
use switchman::ports::runtime::{Ended, Readiness, Runtime, RuntimeError, RuntimeEvent, Surroundings};

use super::{Orders, one};

fn world() -> FakeWorld {
    let world = FakeWorld::new();
    world.add(&one(), Place::File);
    world.start_by_hand(&one());
    world
}

fn lost_answer() -> RuntimeError {
    RuntimeError::Unknown { call: "restart", why: "the connection ended".to_owned() }
}

#[tokio::test]
async fn a_failure_does_nothing_and_a_lost_answer_has_done_it() {
    let (world, orders) = (world(), Orders::new());
    world.on_runtime(&one(), Call::Restart, Fault::Fail(lost_answer()));
    world.on_runtime(&one(), Call::Restart, Fault::DoneButFails(lost_answer()));
    assert!(world.restart(orders.about(&one(), None)).await.is_err());
    assert_eq!((world.starts(&one()), world.starts_ordered(&one())), (1, 0));
    assert!(world.restart(orders.about(&one(), None)).await.is_err());
    assert_eq!((world.starts(&one()), world.starts_ordered(&one())), (2, 1));
    assert!(world.restart(orders.about(&one(), None)).await.is_ok());
    assert_eq!(world.calls(&one(), Call::Restart), 3);
}

#[tokio::test]
async fn a_held_call_waits_before_and_a_held_answer_after() {
    for (fault, done_while_held) in [(Fault::Held as fn(Gate) -> Fault<RuntimeError>, 1), (Fault::AnswerHeld, 2)] {
        let (world, orders, gate) = (world(), Orders::new(), Gate::closed());
        world.on_runtime(&one(), Call::Restart, fault(gate.clone()));
        let agent = one();
        let opening = async {
            gate.until_reached().await;
            assert_eq!(world.starts(&one()), done_while_held);
            gate.open();
        };
        let (restarted, ()) = tokio::join!(world.restart(orders.about(&agent, None)), opening);
        restarted.unwrap();
        assert_eq!(world.starts(&one()), 2);
    }
}

#[tokio::test]
async fn a_lost_engine_answers_no_call_and_both_its_ends_are_told() {
    let world = world();
    assert_eq!(world.next_event().await, RuntimeEvent::Changed(one()));
    world.lose_engine("it burns");
    assert!(matches!(world.look(&one()).await, Err(RuntimeError::Unreachable(_))));
    assert_eq!(world.next_event().await, RuntimeEvent::EngineLost("it burns".to_owned()));
    world.bring_engine_back();
    assert_eq!(world.next_event().await, RuntimeEvent::EngineBack);
    assert_eq!(world.look(&one()).await.unwrap().state, RuntimeState::Running);
}

#[tokio::test]
async fn containers_go_are_replaced_and_fall_ill_by_hand() {
    let (world, orders) = (world(), Orders::new());
    let before = world.look(&one()).await.unwrap().instance.unwrap();
    world.set_readiness(&one(), Readiness::NotReady);
    assert_eq!(world.await_ready(&one(), Duration::ZERO).await.unwrap(), Readiness::NotReady);
    world.replace(&one());
    let refused = world.restart(orders.about(&one(), Some(&before))).await;
    assert!(matches!(refused, Err(RuntimeError::Foreign { .. })));
    world.remove(&one());
    assert_eq!(world.await_ready(&one(), Duration::ZERO).await.unwrap(), Readiness::Missing);
    assert!(matches!(world.start(orders.about(&one(), None)).await, Err(RuntimeError::Missing(_))));
}

#[tokio::test]
async fn a_life_runs_on_what_was_delivered_when_it_began() {
    let world = world();
    assert_eq!(world.runs_on(&one()), None);
    world.put_file(&one(), "first");
    world.start_by_hand(&one());
    world.put_file(&one(), "second");
    assert_eq!(world.runs_on(&one()), Some(switchman::drivers::fingerprint::fingerprint(b"first")));
    let by_environment = AgentName::new("by-environment");
    world.add(&by_environment, Place::Environment);
    world.start(Orders::new().about(&by_environment, None)).await.unwrap();
    let credential = switchman::drivers::fingerprint::fingerprint(b"not-a-real-credential");
    assert_eq!(world.runs_on(&by_environment), Some(credential));
}

#[tokio::test]
async fn what_happens_by_itself_is_told_and_what_surrounds_a_container_is_shown() {
    let world = world();
    let life = world.look(&one()).await.unwrap().instance.unwrap();
    assert_eq!(world.next_event().await, RuntimeEvent::Changed(one()));
    let surroundings = Surroundings { owner: Some("/var/lib/other".to_owned()), ..Surroundings::default() };
    world.set_surroundings(&one(), surroundings.clone());
    world.tell_health(&one(), false);
    world.end_by_itself(&one(), 137, true);
    world.end_by_itself(&one(), 1, false);
    assert_eq!(world.next_event().await, RuntimeEvent::Health { agent: one(), is_healthy: false });
    let ended = Ended { agent: one(), id: life.id, exit_code: Some(137), was_oom: true, was_told: false, at: None };
    assert_eq!(world.next_event().await, RuntimeEvent::Ended(ended));
    world.start_by_hand(&one());
    assert_eq!(world.next_event().await, RuntimeEvent::Changed(one()), "what does not run does not end");
    assert_eq!(world.look(&one()).await.unwrap().surroundings, Some(surroundings));
}
