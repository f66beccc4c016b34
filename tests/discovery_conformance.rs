//! What every listing of containers promises, held against the one in memory and a real Docker Engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use switchman::domain::{FoundContainer, Sought, Wall};
use switchman::drivers::docker::DockerHost;
use switchman::drivers::docker::discovery::DockerDiscovery;
use switchman::drivers::fake::discovery::FakeDiscovery;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;
use switchman::ports::discovery::Discovery;

#[path = "rig/engine.rs"]
#[expect(dead_code, reason = "what a listing does not show is for others")]
mod engine;
#[path = "rig/image.rs"]
mod image;
#[path = "rig/program.rs"]
#[expect(dead_code, reason = "nobody speaks to the program here")]
mod program;

use engine::{Shape, TestEngine, fresh_name, host};
use program::{PATIENCE, eventually};

const LABEL: &str = "switchman.enable";

/// A listing, and a hand in what it lists.
trait Rig {
    async fn new() -> Self;
    fn discovery(&self) -> &dyn Discovery;
    async fn make(&mut self, name: &str, labels: &[(&'static str, &str)]);
    async fn remove(&self, name: &str);
    async fn rename(&mut self, name: &str, to: &str);
}

struct InMemory(FakeDiscovery);

impl Rig for InMemory {
    async fn new() -> Self {
        Self(FakeDiscovery::default())
    }

    fn discovery(&self) -> &dyn Discovery {
        &self.0
    }

    async fn make(&mut self, name: &str, labels: &[(&'static str, &str)]) {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        self.0.put(FoundContainer {
            id: COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string(),
            name: name.to_owned(),
            labels: labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
            mounts: vec!["/tmp".into()],
            created_at: Wall(1_800_000_000_000),
        });
    }

    async fn remove(&self, name: &str) {
        self.0.remove(name);
    }

    async fn rename(&mut self, name: &str, to: &str) {
        self.0.rename(name, to);
    }
}

struct OnAnEngine {
    engine: TestEngine,
    discovery: DockerDiscovery,
}

impl Rig for OnAnEngine {
    async fn new() -> Self {
        let discovery = DockerDiscovery::new(host(), PATIENCE, Arc::new(SystemClock::new()));
        Self { engine: TestEngine::new().await, discovery }
    }

    fn discovery(&self) -> &dyn Discovery {
        &self.discovery
    }

    async fn make(&mut self, name: &str, labels: &[(&'static str, &str)]) {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        let shape = Shape { labels, binds: vec![(PathBuf::from("/tmp"), "/credentials")], ..Shape::default() };
        self.engine.create(name, &shape).await;
    }

    async fn remove(&self, name: &str) {
        self.engine.remove(name).await;
    }

    async fn rename(&mut self, name: &str, to: &str) {
        self.engine.rename(name, to).await;
    }
}

fn by_label() -> Sought {
    Sought { label: Some(LABEL), patterns: Vec::new() }
}

fn by_name(pattern: String) -> Sought {
    Sought { label: None, patterns: vec![pattern] }
}

/// The names of those that this test made and that were asked for, in order.
async fn listed(rig: &impl Rig, sought: &Sought, ours: &str) -> Vec<String> {
    let found = rig.discovery().list(sought).await.unwrap();
    let mut names: Vec<_> = found.into_iter().filter(|one| sought.is_met_by(one)).map(|one| one.name).collect();
    names.retain(|name| name.starts_with(ours));
    names.sort();
    names
}

async fn those_that_were_asked_for_are_listed<R: Rig>() {
    let mut rig = R::new().await;
    let ours = fresh_name("listed");
    let name = |end: &str| format!("{ours}-{end}");
    rig.make(&name("w.1"), &[(LABEL, "false")]).await;
    rig.make(&name("w.2"), &[("other", "x")]).await;
    rig.make(&name("wx3"), &[(LABEL, "true"), ("switchman.tool", "codex")]).await;
    assert_eq!(listed(&rig, &by_label(), &ours).await, [name("w.1"), name("wx3")]);
    assert_eq!(listed(&rig, &by_name(name("w.*")), &ours).await, [name("w.1"), name("w.2")]);
    assert_eq!(listed(&rig, &by_name(name("w")), &ours).await, [""; 0], "a name is matched as a whole");
    let both = Sought { label: Some(LABEL), patterns: vec![name("w.2"), name("none*")] };
    assert_eq!(listed(&rig, &both, &ours).await, [name("w.1"), name("w.2"), name("wx3")]);
    let found = rig.discovery().list(&by_label()).await.unwrap();
    let third = found.into_iter().find(|one| one.name == name("wx3")).unwrap();
    assert_eq!(third.labels.get("switchman.tool").map(String::as_str), Some("codex"));
    assert_eq!(third.mounts, [PathBuf::from("/tmp")]);
    assert!(!third.id.is_empty() && third.created_at > Wall(1_600_000_000_000), "{third:?}");
}

async fn what_changes_is_hinted_at<R: Rig>() {
    let mut rig = R::new().await;
    let ours = fresh_name("hinted");
    let (one, two) = (format!("{ours}-1"), format!("{ours}-2"));
    rig.make(&one, &[(LABEL, "true")]).await;
    let id = rig.discovery().list(&by_label()).await.unwrap().into_iter().find(|found| found.name == one).unwrap().id;
    rig.rename(&one, &two).await;
    until(&rig, &ours, std::slice::from_ref(&two)).await;
    rig.remove(&two).await;
    until(&rig, &ours, &[]).await;
    rig.make(&two, &[(LABEL, "true")]).await;
    until(&rig, &ours, std::slice::from_ref(&two)).await;
    let again = rig.discovery().list(&by_label()).await.unwrap().into_iter().find(|found| found.name == two).unwrap();
    assert_ne!(again.id, id, "what is made anew is another container");
}

/// Listens, and lists after each hint only, until these are there.
async fn until(rig: &impl Rig, ours: &str, expected: &[String]) {
    let listening = async {
        loop {
            rig.discovery().next_hint().await;
            if listed(rig, &by_label(), ours).await == expected {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.unwrap_or_else(|_| panic!("no hint led to {expected:?}"));
}

#[tokio::test]
async fn those_that_were_asked_for_are_listed_in_memory() {
    those_that_were_asked_for_are_listed::<InMemory>().await;
}

#[tokio::test]
async fn those_that_were_asked_for_are_listed_by_an_engine() {
    those_that_were_asked_for_are_listed::<OnAnEngine>().await;
}

#[tokio::test]
async fn what_changes_is_hinted_at_in_memory() {
    what_changes_is_hinted_at::<InMemory>().await;
}

#[tokio::test]
async fn what_changes_is_hinted_at_by_an_engine() {
    what_changes_is_hinted_at::<OnAnEngine>().await;
}

#[tokio::test]
async fn a_hint_that_nobody_waits_for_is_not_lost() {
    let mut rig = OnAnEngine::new().await;
    let ours = fresh_name("dropped");
    rig.discovery().next_hint().await;
    for _ in 0..20 {
        // A caller that has something else to do at once.
        let waiting = rig.discovery().next_hint();
        drop(waiting);
    }
    rig.make(&ours, &[(LABEL, "true")]).await;
    until(&rig, &ours, std::slice::from_ref(&ours)).await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_gives_no_listing_and_hints_that_do_not_spin() {
    let host = DockerHost::Unix("/nonexistent/docker.sock".to_owned());
    let absent = DockerDiscovery::new(host, Duration::from_secs(1), Arc::new(SystemClock::new()));
    let error = absent.list(&by_label()).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/docker.sock"), "{error}");
    let clock = SystemClock::new();
    let began = clock.now().steady;
    for _ in 0..3 {
        absent.next_hint().await;
    }
    let took = clock.now().steady.0 - began.0;
    assert!(took >= 400, "{took} ms");
    let there = DockerDiscovery::new(engine::host(), PATIENCE, Arc::new(SystemClock::new()));
    eventually("an engine that is there lists", async || there.list(&by_label()).await.ok()).await;
}
