//! Text and what bears it out, through the actors: the runtime's events, the pool between two agents, the store.

use std::time::Duration;

use switchman::domain::{AgentName, FailureKind, Generation, Outcome, Report, Reporter, Sign, Trust};
use switchman::machine::agent::{LAST_WORDS, Phase, WINDOW};

use crate::rig::{Rig, limit};

const SECOND: Duration = Duration::from_secs(1);

/// A line of text in an agent's log.
fn text() -> Report {
    let reason = Some("text.limit: a usage limit".to_owned());
    Report { trust: Trust::Text, reporter: Reporter::Agent, sender: "log".to_owned(), reason, ..limit(None, None) }
}

/// The same, told over its own socket.
fn told() -> Report {
    Report { sender: "agent one, uid 1000".to_owned(), ..text() }
}

fn one() -> AgentName {
    "one".into()
}

async fn serving(agents: &[&str]) -> Rig {
    let mut rig = Rig::new(agents);
    for agent in agents {
        rig = rig.runs(agent, "a");
    }
    let rig = rig.start().await;
    for agent in agents {
        rig.until(agent, |state| state.assignment.is_some()).await;
    }
    rig
}

fn is_in(generation: u64) -> impl Fn(&switchman::machine::agent::AgentState) -> bool {
    move |state| state.generation() == Generation(generation) && matches!(state.phase, Phase::Serving)
}

#[tokio::test(start_paused = true)]
async fn a_line_of_an_agent_that_works_on_moves_it_never_and_is_told_as_that() {
    let rig = serving(&["one"]).await;
    for _ in 0..10 {
        assert_eq!(rig.report("one", text()).await.outcome, Outcome::Uncorroborated);
        rig.sleep(31 * SECOND).await;
    }
    rig.sleep(WINDOW).await;
    assert_eq!((rig.state("one").generation(), rig.world.starts_ordered(&one())), (Generation(1), 0));
    let failures = rig.failures("one").await;
    assert_eq!(failures.len(), 10, "each is one once the answer before serves it no more");
    for failure in failures {
        assert_eq!(failure.outcome, Outcome::Ignored);
        assert!(failure.reason.as_deref().is_some_and(|why| why.ends_with("nothing agreed with it within 2 min")));
    }
    assert!(rig.metrics().await.contains("outcome=\"uncorroborated\"} 10"));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_its_container_after_the_line_moves_it_once() {
    let rig = serving(&["one"]).await;
    assert_eq!(rig.report("one", text()).await.outcome, Outcome::Uncorroborated);
    assert_eq!(rig.report("one", text()).await.outcome, Outcome::Uncorroborated, "a repeat is counted onto it");
    rig.sleep(SECOND).await;
    rig.world.end_by_itself(&one(), 1, false);
    rig.until("one", is_in(2)).await;
    rig.sleep(WINDOW).await;
    let state = rig.state("one");
    assert_eq!(state.generation(), Generation(2));
    let [failure] = &*rig.failures("one").await else { panic!("one record") };
    assert_eq!((failure.outcome, failure.count), (Outcome::Switching, 2));
    assert!(
        failure.reason.as_deref().is_some_and(|why| why.ends_with("the agent's process ended by itself")),
        "{:?}",
        failure.reason
    );
    let cause = &state.last.as_ref().expect("a switch").intent.cause;
    assert_eq!(cause.failure.as_ref(), Some(&failure.id));
    let (kind, by) = (FailureKind::RateLimit, Sign::Exit);
    let counted = format!("switchman_failures_corroborated_total{{kind=\"{kind}\",by=\"{by}\"}} 1");
    let metrics = rig.metrics().await;
    assert!(metrics.contains(&counted), "{metrics}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_printed_again_and_again_counts_from_its_last_time() {
    let rig = serving(&["one"]).await;
    for _ in 0..4 {
        assert_eq!(rig.report("one", text()).await.outcome, Outcome::Uncorroborated);
        rig.sleep(8 * SECOND).await;
    }
    rig.world.end_by_itself(&one(), 1, false);
    rig.until("one", is_in(2)).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_long_after_the_line_does_not_move_it() {
    let rig = serving(&["one"]).await;
    let _ = rig.report("one", text()).await;
    rig.sleep(LAST_WORDS + SECOND).await;
    rig.world.end_by_itself(&one(), 1, false);
    rig.sleep(WINDOW).await;
    assert_eq!(rig.state("one").generation(), Generation(1));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_killed_bears_nothing_out() {
    for (exit_code, was_oom) in [(137, false), (143, false), (1, true)] {
        let rig = serving(&["one"]).await;
        let _ = rig.report("one", text()).await;
        rig.sleep(SECOND).await;
        rig.world.end_by_itself(&one(), exit_code, was_oom);
        rig.sleep(WINDOW).await;
        assert_eq!(rig.state("one").generation(), Generation(1), "{exit_code}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_in_another_way_is_not_counted_onto_the_line() {
    let rig = serving(&["one"]).await;
    let _ = rig.report("one", text()).await;
    assert_eq!(rig.report("one", told()).await.outcome, Outcome::Uncorroborated, "it is answered before it is judged");
    rig.until("one", is_in(2)).await;
    assert_eq!(rig.world.starts_ordered(&one()), 1);
    rig.stop().await;

    let rig = serving(&["one"]).await;
    let _ = rig.report("one", text()).await;
    let record = Report { trust: Trust::Structured, ..text() };
    assert_eq!(rig.report("one", record).await.outcome, Outcome::Switching);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_agents_that_say_the_same_of_a_subscription_bear_each_other_out() {
    let rig = serving(&["one", "two", "other"]).await;
    let _ = rig.report("one", text()).await;
    rig.sleep(SECOND).await;
    assert_eq!(rig.state("one").generation(), Generation(1));
    let _ = rig.report("two", text()).await;
    for agent in ["one", "two"] {
        rig.until(agent, is_in(2)).await;
        assert_eq!(rig.world.starts_ordered(&agent.into()), 1);
    }
    assert_eq!(rig.state("other").generation(), Generation(1), "who says nothing stays");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_another_agent_was_moved_for_bears_a_line_out_whichever_comes_first() {
    let believed = || Report { trust: Trust::Structured, ..text() };
    for is_first in [true, false] {
        let rig = serving(&["one", "two"]).await;
        if is_first {
            let _ = rig.report("two", believed()).await;
            rig.until("two", is_in(2)).await;
            let _ = rig.report("one", text()).await;
        } else {
            let _ = rig.report("one", text()).await;
            let _ = rig.report("two", believed()).await;
        }
        rig.until("one", is_in(2)).await;
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_waits_outlives_a_restart_of_the_daemon() {
    let rig = serving(&["one"]).await;
    let _ = rig.report("one", text()).await;
    let rig = rig.restart().await;
    rig.until("one", |state| state.sighting.is_some()).await;
    assert_eq!(rig.state("one").claims().count(), 1);
    rig.world.end_by_itself(&one(), 0, false);
    rig.until("one", is_in(2)).await;
    rig.stop().await;
}
