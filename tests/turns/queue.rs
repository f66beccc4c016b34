//! Who is next: people before workers, first come first served, also while a session is handed over. And who waits no
//! more is not served.

use serde_json::json;

use crate::callers::{Held, Queued, done, in_background, now, refused, waiting, with};
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

async fn one(lines: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    lines.clone_into(&mut setup.agents[0].lines);
    Stage::set(Ground::Children, setup).await
}

/// Everybody in order: each is served when the one before is done, and not before.
async fn served_in_order(site: &Site, mut holder: Held, queue: Vec<Queued>) -> Vec<String> {
    let mut served = Vec::new();
    let mut queue: std::collections::VecDeque<Queued> = queue.into();
    while let Some(next) = queue.pop_front() {
        assert!(next.still_waits());
        site.complete(&holder, "ok").await;
        holder = next.served().await;
        site.beat(&holder).await;
        served.push(holder.turn["holder"].as_str().unwrap().to_owned());
    }
    site.complete(&holder, "ok").await;
    served
}

#[tokio::test]
async fn s19_interactive_before_background_and_first_come_first_served() {
    let stage = one("").await;
    let site = &stage.site;
    let holder = site.taken("one", &now("chat", "A")).await;
    let mut queue = Vec::new();
    for begin in [
        waiting("chat", "B"),
        in_background(waiting("chat", "C")),
        waiting("chat", "D"),
        in_background(waiting("chat", "E")),
    ] {
        queue.push(site.queue("one", &begin).await);
    }
    let in_order = [0, 2, 1, 3];
    let mut places: Vec<Option<Queued>> = queue.into_iter().map(Some).collect();
    let queue = in_order.iter().map(|place| places[*place].take().unwrap()).collect();
    assert_eq!(served_in_order(site, holder, queue).await, ["B", "D", "C", "E"]);
}

/// A holds, so many webhooks wait, and a worker that came first. Some of the webhooks come while the session is handed
/// on; none of them is overtaken.
async fn webhooks_before_the_worker(waiting_at_first: usize) {
    let stage = one("").await;
    let site = &stage.site;
    let mut holder = site.taken("one", &now("chat", "A")).await;
    let worker = site.queue("one", &in_background(waiting("chat", "worker"))).await;
    let mut queue = std::collections::VecDeque::new();
    for number in 0..waiting_at_first {
        queue.push_back((number, site.queue("one", &waiting("chat", &format!("webhook {number}"))).await));
    }
    let (mut came, mut served) = (waiting_at_first, 0);
    while let Some((number, next)) = queue.pop_front() {
        // Another one comes as the session changes hands, as long as half as many have come again.
        let (ending, arriving) = (site.complete(&holder, "ok"), async {
            if came < waiting_at_first + waiting_at_first.div_ceil(2) {
                let queued = site.asks("one", &waiting("chat", &format!("webhook {came}")));
                came += 1;
                Some((came - 1, queued))
            } else {
                None
            }
        });
        let (_, arrived) = futures_util::future::join(ending, arriving).await;
        holder = next.served().await;
        assert_eq!(holder.turn["holder"], format!("webhook {number}"));
        site.beat(&holder).await;
        assert!(worker.still_waits());
        if let Some(arrived) = arrived {
            // It stands in line before the next one goes.
            site.are_queued("one", queue.len() as u64 + 2).await;
            queue.push_back(arrived);
        }
        served += 1;
    }
    assert_eq!(served, came);
    site.complete(&holder, "ok").await;
    let worker = worker.served().await;
    assert_eq!(worker.number(), came as u64 + 2);
    let begun = site.told("one", "turn.begun").await;
    assert_eq!(begun.iter().filter(|event| event["class"] == "background").count(), 1);
}

#[tokio::test]
async fn row4_a_worker_does_not_overtake_one_webhook() {
    webhooks_before_the_worker(1).await;
}

#[tokio::test]
async fn row4_a_worker_does_not_overtake_two_webhooks() {
    webhooks_before_the_worker(2).await;
}

#[tokio::test]
async fn row4_a_worker_does_not_overtake_fifty_webhooks() {
    webhooks_before_the_worker(50).await;
}

/// They wait on connections of their own.
#[tokio::test]
async fn row4_a_thousand_webhooks_are_served_in_order_before_the_worker() {
    const WEBHOOKS: usize = 1_000;
    let stage = one("").await;
    let site = &stage.site;
    let mut holder = site.taken("one", &now("chat", "A")).await;
    let worker = site.asks("one", &in_background(waiting("chat", "worker")));
    let webhooks: Vec<Queued> =
        (0..WEBHOOKS).map(|number| site.asks("one", &waiting("chat", &format!("{number}")))).collect();
    site.are_queued("one", WEBHOOKS as u64 + 1).await;
    // In which order they came is not known from outside; that a worker came first or in between is.
    let mut waiting: futures_util::stream::FuturesUnordered<_> = webhooks.into_iter().map(Queued::served).collect();
    for _ in 0..WEBHOOKS {
        site.complete(&holder, "ok").await;
        holder = futures_util::StreamExt::next(&mut waiting).await.unwrap();
    }
    assert!(worker.still_waits());
    site.complete(&holder, "ok").await;
    assert_eq!(worker.served().await.number(), WEBHOOKS as u64 + 2);
    let begun = site.told("one", "turn.begun").await;
    assert_eq!(begun.len(), WEBHOOKS + 2);
    assert_eq!(begun.last().unwrap()["class"], "background");
}

/// Somebody who waits for a busy session keeps nobody from a free one, and places go to people first.
#[tokio::test]
async fn row4_the_next_free_place_goes_to_people_first_whatever_their_session() {
    let stage = one("turns = { sessions_max = 1 }\n").await;
    let site = &stage.site;
    let holder = site.taken("one", &now("chat", "A")).await;
    let worker = site.queue("one", &in_background(waiting("nightly", "worker"))).await;
    let mail = site.queue("one", &waiting("mail", "B")).await;
    let chat = site.queue("one", &waiting("chat", "C")).await;
    assert_eq!(served_in_order(site, holder, vec![mail, chat, worker]).await, ["B", "C", "worker"]);
}

#[tokio::test]
async fn row4_preemption_asks_workers_to_stop_and_never_people() {
    let stage = one("").await;
    let site = &stage.site;
    let urgent = |session: &str| with(waiting(session, "urgent"), &json!({"preempt": true}));

    let person = site.taken("one", &now("chat", "person")).await;
    let waits = site.queue("one", &urgent("chat")).await;
    assert_eq!(site.beat(&person).await["cancel_requested"], json!(null));
    let another = site.queue("one", &in_background(waiting("chat", "worker"))).await;
    site.complete(&person, "ok").await;
    let person = waits.served().await;
    site.beat(&person).await;
    site.complete(&person, "ok").await;
    let worker = another.served().await;
    // Its like cannot even ask.
    refused(&site.begin("one", &in_background(urgent("chat"))).await, 422, "invalid_body");
    let like = site.queue("one", &in_background(waiting("chat", "worker 2"))).await;
    assert_eq!(site.beat(&worker).await["cancel_requested"], json!(null));
    let waits = site.queue("one", &urgent("chat")).await;
    let asked = site.beat(&worker).await;
    assert_eq!(asked["cancel_requested"]["by"], "urgent", "{asked:#}");
    assert!(waits.still_waits(), "it was asked, and its work may still run");
    done(&site.act(&worker, "cancelled", None).await);
    assert_eq!(waits.served().await.turn["class"], "interactive");
    assert!(like.still_waits());
}

#[tokio::test]
async fn h5_a_caller_that_goes_away_leaves_the_queue() {
    let stage = one("").await;
    let site = &stage.site;
    let holder = site.taken("one", &now("chat", "A")).await;
    let gone = site.queue("one", &waiting("chat", "gone")).await;
    let stays = site.queue("one", &waiting("chat", "stays")).await;
    gone.leave().await;
    site.are_queued("one", 1).await;
    site.complete(&holder, "ok").await;
    assert_eq!(stays.served().await.turn["holder"], "stays");
    assert_eq!(site.told("one", "turn.begun").await.len(), 2, "nothing was granted to who is not there");
}

/// The only place is granted to somebody who never shows up: no work has begun, so nothing is fenced.
#[tokio::test]
async fn h5_a_turn_that_nobody_takes_lapses_without_a_fence() {
    let stage = one("turns = { lease = \"60s\" }\n").await;
    let site = &stage.site;
    let untaken = Held::of(&site.begin("one", &with(now("chat", "absent"), &json!({"key": "k"}))).await);
    let waits = site.queue("one", &waiting("chat", "next")).await;
    let next = waits.served().await;
    let lapsed = site.event("turn.completed", |event| event["turn"] == untaken.id).await;
    assert_eq!(lapsed["end"], "lapsed", "{lapsed:#}");
    assert!((10_000..20_000).contains(&lapsed["held_ms"].as_u64().unwrap()), "{lapsed:#}");
    let late = refused(&site.act(&untaken, "heartbeat", None).await, 409, "turn_already_complete");
    assert_eq!(late["state"], "lapsed", "{late:#}");
    site.beat(&next).await;
    site.complete(&next, "ok").await;
    // Nobody has held it, so its key can begin another.
    let again = Held::of(&site.begin("one", &with(now("chat", "absent"), &json!({"key": "k"}))).await);
    assert_eq!(again.number(), next.number() + 1);
    assert_eq!(site.told("one", "turn.fenced").await.len() + site.told("one", "turn.lost").await.len(), 0);
    stage.started("one", 1).await;
}
