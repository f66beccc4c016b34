//! The engine is away: nobody becomes an agent, and nobody is one no more (B9).

use serde_json::json;

use crate::engine_proxy::{Call, Deed, Kind};
use crate::program::eventually;
use crate::quay::{BY_LABEL, DEFAULTS, Quay};

const ENABLED: &[(&str, &str)] = &[("switchman.enable", "true")];

#[tokio::test]
async fn an_engine_that_cannot_be_reached_removes_nobody() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.run("web", ENABLED).await;
    quay.run("old", ENABLED).await;
    quay.site.start().await;
    quay.is_on("web", "a", 1).await;
    quay.is_on("old", "a", 1).await;
    let life = quay.life("web").await;
    quay.proxy.go_away().await;
    let failed = quay.site.event("discovery.failed", |_| true).await;
    assert!(failed["reason"].as_str().unwrap().contains("p.sock"), "{failed:#}");
    quay.engine.remove("old").await;
    quay.run("new", ENABLED).await;
    assert_eq!(quay.agents().await, ["old", "web"]);
    quay.proxy.come_back().await;
    quay.is_on("new", "a", 1).await;
    quay.gone("old").await;
    quay.has_agents(&["new", "web"]).await;
    assert_eq!(quay.life("web").await, life);
}

#[tokio::test]
async fn a_daemon_that_starts_without_its_engine_finds_everybody_where_they_were() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.run("web", ENABLED).await;
    quay.site.start().await;
    quay.is_on("web", "a", 1).await;
    quay.moves("web", 1).await;
    let life = quay.life("web").await;
    assert!(quay.site.stop().await.success());
    quay.proxy.go_away().await;
    quay.site.start().await;
    assert_eq!(quay.agents().await, [""; 0]);
    quay.proxy.come_back().await;
    quay.is_on("web", "b", 2).await;
    assert_eq!(quay.life("web").await, life, "nobody is restarted for having been found");
    let cooling = eventually("what it knew holds", async || Some(quay.site.subscription("a").await)).await;
    assert_ne!(cooling["cooldown"], json!(null), "{cooling:#}");
}

/// More tries than fit into the time for which a container is missed.
const TRIES: usize = 8;

#[tokio::test]
async fn listings_that_fail_for_longer_than_anybody_is_missed_remove_nobody() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.run("web", ENABLED).await;
    quay.site.start().await;
    quay.is_on("web", "a", 1).await;
    let life = quay.life("web").await;
    let before = quay.proxy.calls().len();
    quay.proxy.disturb(Kind::Inspect, Deed::Answer(500));
    let is_listing = |call: &&Call| call.line.contains("/containers/json");
    // The next one is not far away.
    quay.run("hint", &[]).await;
    let have_failed = |calls: &[Call]| calls.iter().skip(before).filter(is_listing).count() >= TRIES;
    quay.proxy.called("the containers are asked for again and again", have_failed).await;
    assert_eq!(quay.agents().await, ["web"]);
    assert_eq!(quay.site.events("discovery.failed").len(), 1, "it is told once");
    quay.proxy.calm();
    quay.is_on("web", "a", 1).await;
    assert_eq!(quay.site.events("agent.gone"), [json!(null); 0]);
    assert_eq!(quay.life("web").await, life);
}
