//! What people are told about the engine, and when.

use std::sync::Arc;
use std::time::Duration;

use switchman::domain::Severity;

use crate::rig::{Rig, Told};

const BLIP: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(40);

/// What was told: whether it was over.
fn ends(told: &Told) -> Vec<bool> {
    told.about("engine").iter().map(|message| message.is_over).collect()
}

#[tokio::test(start_paused = true)]
async fn an_engine_is_told_when_it_is_gone_for_longer_than_a_moment_and_when_it_is_back() {
    let told = Arc::new(Told::default());
    let rig = Rig::new(&["one", "two"]).runs("one", "a").runs("two", "b").telling(&told).start().await;
    rig.sleep(LONG).await;
    for _ in 0..3 {
        rig.world.lose_engine("connection refused");
        rig.sleep(BLIP).await;
        rig.world.bring_engine_back();
        rig.sleep(BLIP).await;
    }
    assert_eq!(ends(&told), [false; 0], "a blip is nobody's business");
    rig.world.lose_engine("connection refused");
    rig.sleep(LONG).await;
    assert_eq!(ends(&told), [false]);
    let lost = &told.about("engine")[0];
    assert_eq!((lost.severity, &lost.agent), (Severity::Critical, &None));
    assert!(lost.text.contains("connection refused") && lost.text.contains("2 agents"), "{}", lost.text);
    assert!(lost.action.as_ref().is_some_and(|action| action.contains("docker info")), "{lost:?}");
    rig.sleep(Duration::from_secs(600)).await;
    assert_eq!(ends(&told), [false], "once");
    rig.world.bring_engine_back();
    rig.sleep(Duration::from_secs(1)).await;
    assert_eq!(ends(&told), [false, true]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_comes_back_while_the_daemon_is_down_is_told_by_its_next_life() {
    let told = Arc::new(Told::default());
    let rig = Rig::new(&["one"]).runs("one", "a").telling(&told).start().await;
    rig.world.lose_engine("connection refused");
    rig.sleep(LONG).await;
    assert_eq!(ends(&told), [false]);
    let rig = rig.restart().await;
    rig.world.bring_engine_back();
    rig.sleep(LONG).await;
    assert_eq!(ends(&told), [false, true]);
    let rig = rig.restart().await;
    rig.sleep(LONG).await;
    assert_eq!(ends(&told), [false, true], "nothing was told that could be over");
    rig.stop().await;
}
