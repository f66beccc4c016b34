//! The pool's own doings: an agent's own key, bans that halt everything, a fleet that comes back.

use std::time::Duration;

use switchman::domain::{FailureKind, NotifyEvent, Outcome, ParkReason, Report, SubscriptionName};
use switchman::machine::agent::{Command, Phase};
use switchman::machine::pool::Wanted;

use crate::rig::{Rig, limit};

const HOUR: Duration = Duration::from_secs(3600);

fn failed(kind: FailureKind, on: &str, generation: u64) -> Report {
    Report { kind, ..limit(Some(on), Some(generation)) }
}

async fn fleet(agents: &[(&str, &str)]) -> Rig {
    let names: Vec<&str> = agents.iter().map(|(agent, _)| *agent).collect();
    let mut rig = Rig::new(&names);
    for (agent, on) in agents {
        rig = rig.runs(agent, on);
    }
    let rig = rig.start().await;
    for (agent, _) in agents {
        rig.until(agent, |state| state.assignment.is_some()).await;
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn s18_an_agent_with_a_key_of_its_own_is_parked_and_blames_nobody() {
    let rig = fleet(&[("one", "a"), ("two", "c")]).await;
    assert_eq!(rig.report("one", failed(FailureKind::Auth, "a", 1)).await.outcome, Outcome::Switching);
    rig.until("one", |state| matches!(state.phase, Phase::Serving) && state.generation().0 == 2).await;
    let second = rig.report("one", failed(FailureKind::Auth, "b", 2)).await;
    assert_eq!(second.outcome, Outcome::Recorded, "{second:?}");
    let phase = rig.state("one").phase.clone();
    assert!(matches!(phase, Phase::Parked { reason: ParkReason::CredentialShadowed, .. }), "{phase:?}");
    assert_eq!(rig.notifications(NotifyEvent::Parked), 1);
    let other = rig.switchman().agent("two").expect("known");
    let ranking =
        rig.switchman().explain(&other, Wanted::Another, switchman::domain::CauseBy::Failure).await.expect("asked");
    let eligible: Vec<&str> = ranking
        .candidates
        .iter()
        .filter(|candidate| candidate.ineligible.is_none() && !candidate.is_suspect)
        .map(|candidate| candidate.subscription.as_str())
        .collect();
    assert_eq!(eligible, ["a", "b"], "neither is blamed for others");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn e6_two_bans_halt_everything_until_a_person_says_so() {
    let rig = fleet(&[("one", "a"), ("two", "b"), ("three", "c")]).await;
    assert_eq!(rig.report("one", failed(FailureKind::Banned, "a", 1)).await.outcome, Outcome::Switching);
    rig.until("one", |state| matches!(state.phase, Phase::Serving) && state.generation().0 == 2).await;
    let second = rig.report("two", failed(FailureKind::Banned, "b", 1)).await;
    assert_eq!(second.outcome, Outcome::Recorded, "{second:?}");
    assert_eq!(rig.notifications(NotifyEvent::Halted), 1);
    let degraded = rig.switchman().health().degraded;
    assert!(degraded.iter().any(|why| why.contains("switching is halted")), "{degraded:?}");

    // Nobody is moved by itself, for days, and also after a restart of the daemon; a person may.
    assert_eq!(rig.report("three", failed(FailureKind::RateLimit, "c", 1)).await.outcome, Outcome::Recorded);
    let rig = rig.restart().await;
    rig.until("two", |state| state.sighting.is_some()).await;
    rig.sleep(48 * HOUR).await;
    assert_eq!((rig.state("two").generation().0, rig.notifications(NotifyEvent::Halted)), (1, 1));
    let halted = rig.switchman().halt().expect("still");
    assert_eq!(halted.subscriptions, [SubscriptionName::from("a"), SubscriptionName::from("b")]);
    rig.command("two", Command::Switch { to: Some("c".into()), force: true, reason: None }).await;
    rig.until("two", |state| state.subscription().is_some_and(|on| on.as_str() == "c")).await;

    assert!(rig.switchman().lift_halt().await.expect("written"));
    assert!(!rig.switchman().lift_halt().await.expect("written"), "it is not halted any more");
    assert_eq!(rig.notifications(NotifyEvent::Resumed), 1);
    assert!(rig.switchman().health().degraded.is_empty());

    // Whoever clears the quarantine has settled it: those who were told of the ban are told of its end.
    let bans = rig.notifications(NotifyEvent::Banned);
    rig.switchman().clear_cooldown("a".into()).await.expect("written");
    assert_eq!(rig.notifications(NotifyEvent::Banned), bans + 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_lost_its_last_subscription_comes_back_one_by_one() {
    let agents = ["one", "two", "three", "four", "five"];
    let rig = fleet(&agents.map(|agent| (agent, "a"))).await;
    let until = rig.switchman().now().wall.plus(90 * HOUR);
    for name in ["b", "c"] {
        rig.switchman().set_cooldown(name.into(), until).await.expect("written");
    }
    for agent in agents {
        let mut report = limit(Some("a"), Some(1));
        report.reset_at = Some(rig.switchman().now().wall.plus(2 * HOUR));
        rig.report(agent, report).await;
        rig.until(agent, |state| matches!(state.phase, Phase::Exhausted { .. })).await;
    }
    let mut back: Vec<Duration> = Vec::new();
    let end = rig.elapsed() + 3 * HOUR;
    let mut waiting: Vec<&str> = agents.to_vec();
    while !waiting.is_empty() {
        assert!(rig.elapsed() < end, "{waiting:?} never came back");
        waiting.retain(|agent| {
            let is_back = matches!(rig.state(agent).phase, Phase::Serving);
            if is_back {
                back.push(rig.elapsed());
            }
            !is_back
        });
        rig.sleep(Duration::from_millis(50)).await;
    }
    for pair in back.windows(2) {
        let apart = pair[1].saturating_sub(pair[0]);
        assert!(apart + Duration::from_millis(200) >= Duration::from_secs(5), "one ramp after the other: {back:?}");
    }
    let took = back[4].saturating_sub(back[0]);
    assert!(took <= Duration::from_secs(60), "jitter and five ramps: {back:?}");
    for agent in agents {
        assert_eq!(rig.world.starts_ordered(&agent.into()), 0, "its own subscription is back: no restart (F3)");
    }
    rig.stop().await;
}
