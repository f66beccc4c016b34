//! Starts that come at the same time: one of them begins, once, and everybody else is told of it; whoever looks sees one
//! moment.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::callers::{Held, now, number, refused, waiting, with};
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

async fn agents(names: &[&str], sections: &str) -> Stage {
    let setup = Setup { sections: sections.to_owned(), ..Setup::new(&["a", "b"], names) };
    Stage::set(Ground::Children, setup).await
}

#[tokio::test]
async fn row3_a_pair_is_one_session_whatever_its_order_and_none_of_its_halves() {
    let stage = agents(&["one"], "").await;
    let site = &stage.site;
    let pair = site.taken("one", &now(json!(["y", "x"]), "first")).await;
    for order in [json!(["x", "y"]), json!(["y", "x"])] {
        let refusal = refused(&site.begin("one", &now(order, "second")).await, 409, "turn_in_progress");
        assert_eq!((&refusal["turn"], &refusal["session"]), (&json!(pair.id), &pair.turn["session"]));
    }
    let half = site.taken("one", &now("x", "third")).await;
    let other = site.taken("one", &now(json!(["x", "z"]), "fourth")).await;
    assert_eq!(half.turn["session"], "x");
    assert_eq!(site.turns("one").await.len(), 3);
    for held in [&pair, &half, &other] {
        site.complete(held, "ok").await;
    }
}

/// A webhook that wants to know of every turn.
fn told_of_turns(url: &str) -> String {
    format!("[[notify]]\nwebhook = {url:?}\nevents = [\"turn_begun\"]\n")
}

async fn one_of_many_begins(callers: usize) {
    let hook = crate::hook::Hook::listen();
    let mut stage = agents(&["one"], &told_of_turns(&hook.url())).await;
    let site = &stage.site;
    let session = |number: usize| if number.is_multiple_of(2) { json!(["x", "y"]) } else { json!(["y", "x"]) };
    let begins: Vec<Value> = (0..callers).map(|number| now(session(number), &format!("caller {number}"))).collect();
    let answers = join_all(begins.iter().map(|begin| site.begin("one", begin))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    let held = Held::of(won[0]);
    for answer in lost {
        let refusal = refused(answer, 409, "turn_in_progress");
        assert_eq!(refusal["turn"], held.id, "{refusal:#}");
        assert_eq!(refusal["session"], json!(["x", "y"]), "{refusal:#}");
    }
    site.beat(&held).await;
    site.complete(&held, "ok").await;
    hook.notified("the turn", |told| told["event"] == "turn_begun").await;
    assert!(stage.site.stop().await.success());
    assert_eq!(stage.site.events("turn.begun").len(), 1);
    assert_eq!(stage.site.events("turn.completed").len(), 1);
    assert_eq!(hook.ids("turn_begun").len(), 1);
    assert_eq!(stage.site.hook.ids("turn_begun").len(), 0, "who did not ask to be told of turns is not");
}

#[tokio::test]
async fn row3_of_five_begins_at_once_one_begins() {
    one_of_many_begins(5).await;
}

#[tokio::test]
async fn row3_of_five_hundred_begins_at_once_one_begins() {
    one_of_many_begins(500).await;
}

#[tokio::test]
async fn row3_the_same_begin_again_is_the_same_turn() {
    let mut stage = agents(&["one"], "").await;
    let site = &stage.site;
    let begin = with(now(json!(["x", "y"]), "one"), &json!({"key": "click-1"}));
    let answers = join_all((0..20).map(|_| site.begin("one", &begin))).await;
    let turns: BTreeSet<(String, String)> = answers.iter().map(Held::of).map(|held| (held.id, held.token)).collect();
    assert_eq!(turns.len(), 1, "{turns:?}");
    let held = Held::of(&answers[0]);
    site.beat(&held).await;
    refused(&site.begin("one", &with(begin.clone(), &json!({"holder": "two"}))).await, 422, "key_reused");

    // Those who wait with the same key wait for the same.
    let keyed = with(waiting(json!(["x", "y"]), "two"), &json!({"key": "click-2"}));
    let first = site.queue("one", &keyed).await;
    let others: Vec<_> = (0..10).map(|_| site.asks("one", &keyed)).collect();
    refused(&site.begin("one", &with(keyed.clone(), &json!({"holder": "x"}))).await, 422, "key_reused");
    assert_eq!(site.agent("one").await["turns"]["queued"], 1);
    site.complete(&held, "ok").await;
    let second = first.served().await;
    for other in others {
        let same = other.served().await;
        assert_eq!((same.id, same.token), (second.id.clone(), second.token.clone()));
    }
    // What was begun with a key does not begin again with it.
    refused(&site.begin("one", &begin).await, 409, "turn_already_complete");
    site.beat(&second).await;
    assert_eq!(site.told("one", "turn.begun").await.len(), 2);

    // Its process goes with the daemon, and the key knows what became of the turn.
    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
    let again = refused(&stage.site.begin("one", &keyed).await, 409, "turn_cut_off");
    assert_eq!(again["turn"], second.id, "{again:#}");
}

/// One worker: so many turns in its session, begun as it gets there.
async fn works(site: &Site, agent: &str, worker: usize, turns: usize) -> Vec<u64> {
    let mut held = Vec::new();
    for round in 0..turns {
        let session = format!("s{}", (worker + round) % 3);
        let turn = Held::of(&site.begin(agent, &waiting(session.as_str(), &format!("w{worker}"))).await);
        site.beat(&turn).await;
        site.complete(&turn, if round.is_multiple_of(3) { "failed" } else { "ok" }).await;
        held.push(turn.number());
    }
    held
}

/// What one look showed of one agent, held against what was seen before.
#[derive(Default)]
struct Watched {
    newest: u64,
    gone: BTreeSet<u64>,
    last: BTreeSet<u64>,
}

impl Watched {
    fn look(&mut self, turns: &[Value]) {
        let mut sessions = BTreeMap::new();
        let mut numbers = BTreeSet::new();
        for turn in turns {
            let id = turn["id"].as_str().unwrap();
            if let Some(other) = sessions.insert(turn["session"].to_string(), id) {
                panic!("{} has {other} and {id}: {turns:#?}", turn["session"]);
            }
            numbers.insert(number(id));
        }
        assert!(turns.len() <= 3, "more than sessions_max: {turns:#?}");
        self.gone.extend(self.last.difference(&numbers));
        assert!(self.gone.is_disjoint(&numbers), "a turn that had ended is back: {turns:#?}");
        for fresh in numbers.difference(&self.last) {
            assert!(*fresh > self.newest, "turn {fresh} came after {}: {turns:#?}", self.newest);
        }
        self.newest = numbers.last().copied().unwrap_or_default().max(self.newest);
        self.last = numbers;
    }
}

#[tokio::test]
async fn row3_every_listing_is_one_moment_under_a_storm_of_begins_and_completes() {
    const WORKERS: usize = 6;
    const TURNS: usize = 25;
    let stage = agents(&["one", "two"], "").await;
    let site = &stage.site;
    let (done, is_done) = tokio::sync::watch::channel(false);
    let storm = async {
        let workers = ["one", "two"].map(|agent| join_all((0..WORKERS).map(move |w| works(site, agent, w, TURNS))));
        let held = join_all(workers).await;
        done.send_replace(true);
        held
    };
    let watching = async {
        let (mut one, mut two, mut looks) = (Watched::default(), Watched::default(), 0);
        while !*is_done.borrow() {
            let all = site.get("/v1/turns").await["turns"].as_array().unwrap().clone();
            let of = |agent: &str| all.iter().filter(|turn| turn["agent"] == agent).cloned().collect::<Vec<_>>();
            one.look(&of("one"));
            two.look(&of("two"));
            one.look(&site.turns("one").await);
            looks += 1;
        }
        looks
    };
    let (held, looks) = futures_util::future::join(storm, watching).await;
    assert!(looks > 10, "{looks}");
    for of_agent in held {
        let mut numbers: Vec<u64> = of_agent.into_iter().flatten().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=(WORKERS * TURNS) as u64).collect::<Vec<_>>(), "each turn once, none left out");
    }
    for agent in ["one", "two"] {
        assert_eq!(site.turns(agent).await, Vec::<Value>::new());
        for name in ["turn.begun", "turn.completed"] {
            let told = site.told(agent, name).await;
            assert_eq!(told.len(), WORKERS * TURNS, "{name}");
        }
    }
}
