//! Restarts are paced: so many at once, and so far apart.

use std::time::Duration;

use switchman::machine::agent::Phase;

use crate::rig::{Rig, limit};

const AGENTS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

/// When each of the agents was moved, after all failed in the same moment.
async fn moved_at(rig: Rig) -> Vec<Duration> {
    let mut rig = rig;
    for agent in AGENTS {
        rig = rig.runs(agent, "a");
    }
    let rig = rig.start().await;
    for agent in AGENTS {
        rig.until(agent, |state| state.assignment.is_some()).await;
    }
    let began = rig.elapsed();
    for agent in AGENTS {
        rig.report(agent, limit(Some("a"), Some(1))).await;
    }
    let mut moved = vec![None; AGENTS.len()];
    while moved.iter().any(Option::is_none) {
        for (agent, moved) in AGENTS.iter().zip(&mut moved) {
            let state = rig.state(agent);
            if matches!(state.phase, Phase::Serving) && state.generation().0 == 2 {
                moved.get_or_insert(rig.elapsed().saturating_sub(began));
            }
        }
        assert!(rig.elapsed() < began + Duration::from_secs(600), "all of them are moved: {moved:?}");
        rig.sleep(Duration::from_millis(50)).await;
    }
    rig.stop().await;
    let mut moved: Vec<Duration> = moved.into_iter().flatten().collect();
    moved.sort();
    moved
}

#[tokio::test(start_paused = true)]
async fn restarts_begin_apart_from_each_other() {
    let splay = Duration::from_secs(20);
    let moved = moved_at(Rig::new(&AGENTS).paced(8, splay)).await;
    for pair in moved.windows(2) {
        let apart = pair[1].saturating_sub(pair[0]);
        assert!(apart >= splay.saturating_sub(Duration::from_secs(1)), "{moved:?}");
    }
    assert!(moved[0] < Duration::from_secs(5), "the first one does not wait: {moved:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_splay_they_begin_together() {
    let moved = moved_at(Rig::new(&AGENTS).paced(8, Duration::ZERO)).await;
    assert!(moved[5].saturating_sub(moved[0]) < Duration::from_secs(5), "{moved:?}");
}
