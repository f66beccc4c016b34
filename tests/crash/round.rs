//! One round: a burst of reports, a kill somewhere in the switch that they cause, a new life, and everything that must
//! be true then.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::http::Answered;
use crate::program::eventually;
use crate::setup::{Setup, SubscriptionSetup};
use crate::stage::{Ground, Stage};

/// Reports of one burst.
const BURST: usize = 4;

/// When the daemon is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// As soon as its log tells this event about the switch.
    Event(&'static str),
    /// So long after the burst was sent.
    After(Duration),
    /// While the credentials are being read for the so-manieth time since the burst.
    Read(u32),
    /// While the old life of the agent does not end.
    Stop,
}

/// An agent that is moved to and fro between `a` and `b`, and a daemon that dies of it.
pub(crate) struct Rounds {
    pub(crate) stage: Stage,
    ground: Ground,
    count: u32,
}

impl Rounds {
    pub(crate) async fn begin(ground: Ground, stop_grace: &str) -> Self {
        let mut setup =
            Setup::new(&["a", "b"], &["one"]).switching("budget = { switches = 100, per = \"1h\" }\nsettle = \"1s\"\n");
        setup.agents[0].lines = format!("stop_grace = {stop_grace:?}\n");
        Self { stage: Stage::set(ground, setup).await, ground, count: 0 }
    }

    /// As [`Self::begin`], but the credentials come from a command that can be held up.
    pub(crate) async fn begin_with_a_gate(gate: &Path) -> Self {
        let mut rounds = Self::begin(Ground::ChildrenWithFiles, "1s").await;
        assert!(rounds.stage.site.stop().await.success());
        let mut setup = Setup::new(&[], &["one"]).switching("budget = { switches = 100, per = \"1h\" }\n");
        let site = &mut rounds.stage.site;
        for name in ["a", "b"] {
            let file = site.folder.credential_file(name);
            let script = format!(
                "cd {}; echo read >> reads; n=$(wc -l < reads); while [ -e gate ] && [ $n -ge $(cat gate) ]; \
                 do sleep 0.02; done; exec cat {}",
                gate.display(),
                file.display()
            );
            let reference = Some(format!("{{ command = [\"sh\", \"-c\", {script:?}] }}"));
            setup.subscriptions.push(SubscriptionSetup { name: name.to_owned(), reference });
        }
        setup.agents[0].place = crate::setup::Place::ChildWithFile;
        site.folder.lay_out(&setup, &site.hook.url());
        site.start().await;
        site.serving("one").await;
        rounds
    }

    /// A switch that nobody disturbs; how long it takes from the burst to its end.
    pub(crate) async fn undisturbed(&mut self) -> Duration {
        let clock = SystemClock::new();
        let before = self.stage.site.serving("one").await;
        let generation = before["assignment"]["generation"].as_u64().unwrap();
        let sent_at = clock.now().steady;
        self.stage.burst("one", 1, generation).await;
        self.stage.site.event("switch.completed", |event| event["generation"] == generation + 1).await;
        let took = clock.now().steady.0 - sent_at.0;
        self.forgive(&before["assignment"]["subscription"]).await;
        Duration::from_millis(took)
    }

    async fn forgive(&self, subscription: &Value) {
        let path = format!("/v1/subscriptions/{}/cooldown", subscription.as_str().unwrap());
        let cleared = self.stage.site.call("DELETE", &path, None).await;
        assert_eq!(cleared.status, 200, "{}", cleared.text);
    }

    async fn send(&self, generation: u64) -> Vec<Option<Answered>> {
        join_all((0..BURST).map(|number| {
            let id = format!("round-{}-{number}", self.count);
            let report = json!({"id": id, "kind": "rate_limit", "generation": generation});
            async move { self.stage.site.try_call("POST", "/v1/agents/one/failures", Some(&report)).await }
        }))
        .await
    }

    /// Kills the daemon at the moment, or when the switch is over before.
    async fn kill_at(&self, moment: Moment, generation: u64, gate: &Path) {
        let site = &self.stage.site;
        match moment {
            Moment::Event(name) => {
                site.event(name, |event| event["agent"] == "one" && event["generation"] == generation).await;
            }
            Moment::After(time) => SystemClock::new().sleep(time).await,
            Moment::Read(number) => {
                let reached = eventually("the credentials are being read", async || {
                    let reads = std::fs::read_to_string(gate.join("reads")).unwrap_or_default().lines().count();
                    (reads >= number as usize).then_some(())
                });
                let over = site.event("switch.completed", |event| event["generation"] == generation);
                tokio::select! { () = reached => {} _ = over => {} }
            }
            Moment::Stop => {
                site.event("switch.drained", |event| event["generation"] == generation).await;
            }
        }
        site.daemon().signal(Signal::KILL);
    }

    /// One round; everything is well again after it.
    pub(crate) async fn round(&mut self, moment: Moment, gate: &Path) {
        self.count += 1;
        let before = self.stage.site.serving("one").await;
        let (from, generation) = (before["assignment"]["subscription"].clone(), &before["assignment"]["generation"]);
        let (to, generation) = (if from == "a" { "b" } else { "a" }, generation.as_u64().unwrap());
        let known = ids(&self.stage.site.switches("one").await);
        let starts = self.stage.starts("one").await.len();
        match moment {
            Moment::Read(number) => {
                let _there_was_none = std::fs::remove_file(gate.join("reads")).is_err();
                std::fs::write(gate.join("gate"), number.to_string()).unwrap();
            }
            Moment::Stop => self.stage.site.tell("one", "ignore-term").await,
            Moment::Event(_) | Moment::After(_) => {}
        }

        let (first, ()) = tokio::join!(self.send(generation), self.kill_at(moment, generation + 1, gate));
        self.stage.site.exited().await;
        if matches!(moment, Moment::Read(_)) {
            std::fs::remove_file(gate.join("gate")).unwrap();
        }
        assert_database_is_whole(&self.stage.site.folder.database());
        self.stage.site.start().await;
        let second = self.send(generation).await;
        let what = format!("round {} ({moment:?}), generation {generation}", self.count);
        answers_hold(&what, &first, &second);

        let now = eventually(&format!("{what}: the switch is over"), async || {
            let now = self.stage.site.serving("one").await;
            (now["assignment"]["generation"].as_u64() > Some(generation)).then_some(now)
        })
        .await;
        assert_eq!(now["assignment"]["generation"], generation + 1, "{what}: {now:#}");
        assert_eq!(now["assignment"]["subscription"], to, "{what}: {now:#}");
        let switches = self.stage.site.switches("one").await;
        let new: Vec<&Value> =
            switches.iter().filter(|switch| !known.contains(switch["id"].as_str().unwrap())).collect();
        assert_eq!(new.len(), 1, "{what}: {new:#?}");
        assert_eq!((&new[0]["outcome"], &new[0]["to"]), (&json!("ready"), &json!(to)), "{what}: {new:#?}");
        self.one_life(&what, to, generation + 1, starts).await;
        self.stage.site.hook.notified("the switch", |told| told["switch"] == new[0]["id"]).await;
        self.forgive(&from).await;
    }

    /// One agent runs, on what it is assigned to.
    async fn one_life(&self, what: &str, subscription: &str, generation: u64, starts_before: usize) {
        self.stage.runs_on("one", subscription).await;
        let folder = &self.stage.site.folder;
        if self.ground != Ground::Children {
            let delivered = std::fs::read_to_string(folder.home("one").join("credential")).unwrap();
            assert_eq!(delivered.trim_end(), folder.credential(subscription), "{what}");
        }
        if self.ground == Ground::Containers {
            self.stage.started("one", starts_before + 1).await;
            return;
        }
        let processes = self.stage.site.processes();
        assert_eq!(processes.len(), 1, "{what}: {processes:#?}");
        assert_eq!(processes[0].variable("SWITCHMAN_GENERATION"), generation.to_string(), "{what}");
        assert_eq!(processes[0].variable("SWITCHMAN_SUBSCRIPTION"), subscription, "{what}");
        if self.ground == Ground::Children {
            assert_eq!(processes[0].variable("CLAUDE_CODE_OAUTH_TOKEN"), folder.credential(subscription), "{what}");
        }
    }

    /// After all rounds: every switch was told once, and no notification more than twice.
    pub(crate) async fn end(mut self) {
        assert!(self.stage.site.stop().await.success());
        let told = self.stage.site.hook.ids("switch");
        let distinct: BTreeSet<&String> = told.iter().collect();
        for id in &distinct {
            let times = told.iter().filter(|other| other == id).count();
            assert!(times <= 2, "{id} was told {times} times");
        }
        self.stage.site.start().await;
        let switches = self.stage.site.switches("one").await;
        assert_eq!(distinct.len(), switches.len(), "{told:?}");
        let generations: Vec<u64> = switches.iter().map(|switch| switch["generation"].as_u64().unwrap()).collect();
        assert!(generations.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {generations:?}");
        eprintln!(
            "{} rounds, {} notifications, {} of them repeats",
            self.count,
            told.len(),
            told.len() - distinct.len()
        );
    }
}

/// Who was answered before the kill is answered the same after it, and at most one report caused the switch: none if
/// all of them arrived while the next life of the daemon was still bringing the agent up.
fn answers_hold(what: &str, first: &[Option<Answered>], second: &[Option<Answered>]) {
    for (first, second) in first.iter().zip(second) {
        let second = second.as_ref().unwrap_or_else(|| panic!("{what}: no answer to a report sent again"));
        let outcome = second.body["outcome"].as_str().unwrap_or_default();
        assert!(["switching", "repeat", "stale", "held"].contains(&outcome), "{what}: {}", second.text);
        if let Some(first) = first {
            let mut again = first.body.clone();
            again["duplicate"] = json!(true);
            assert_eq!(second.body, again, "{what}");
        }
    }
    let of = |outcome: &str| second.iter().flatten().filter(|answer| answer.body["outcome"] == outcome).count();
    let causes = of("switching");
    assert!(causes == 1 || (causes == 0 && of("held") > 0), "{what}: one report caused it: {second:#?}");
}

fn ids(switches: &[Value]) -> BTreeSet<String> {
    switches.iter().map(|switch| switch["id"].as_str().unwrap().to_owned()).collect()
}

/// Looks at a copy: a look at the files themselves would finish what the daemon has to.
fn assert_database_is_whole(path: &Path) {
    let copies = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        let file = format!("{}{end}", path.display());
        if Path::new(&file).exists() {
            std::fs::copy(&file, copies.path().join(format!("copy.db{end}"))).unwrap();
        }
    }
    let connection = Connection::open(copies.path().join("copy.db")).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
