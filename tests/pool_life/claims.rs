//! Two agents that say the same of one subscription, in text, bear each other out.

use switchman::domain::{
    Change, Cooldown, FailureId, FailureKind, FailureRecord, Outcome, Reporter, SubscriptionName, Window,
};
use switchman::machine::agent::WINDOW;

use crate::words::{HOUR, SECOND, Story};

fn id(agent: &str, number: u64) -> FailureId {
    FailureId { agent: agent.into(), number }
}

impl Story {
    /// The log of this agent says something in text.
    fn claims(&mut self, agent: &str, number: u64, about: &str, kind: FailureKind) {
        let record = FailureRecord {
            id: id(agent, number),
            report: None,
            at: self.now,
            observed_at: None,
            kind,
            outcome: Outcome::Uncorroborated,
            subscription: Some(about.into()),
            generation: None,
            turn: None,
            model: None,
            window: Window::Unknown,
            reset_at: None,
            reporter: Reporter::Agent,
            sender: "log".to_owned(),
            reason: None,
            count: 1,
            answer: None,
        };
        self.pool.apply(&Change::FailureRecorded(record));
    }

    fn judged(&mut self, agent: &str, number: u64) {
        let (id, outcome) = (id(agent, number), Outcome::Ignored);
        self.pool.apply(&Change::FailureJudged { id, outcome, generation: None, agreed: None, reason: None });
    }

    fn agreed(&mut self) -> Vec<(String, SubscriptionName, FailureKind)> {
        let agreed = self.pool.take_agreed().into_iter();
        agreed.map(|one| (one.agent.to_string(), one.subscription, one.kind)).collect()
    }
}

/// What an agent was moved for.
fn cooled(story: &Story, agent: &str, about: &str) -> Cooldown {
    Cooldown { failure: Some(id(agent, 7)), ..story.limit(about, Some(agent), HOUR) }
}

const LIMIT: FailureKind = FailureKind::RateLimit;

#[test]
fn the_same_of_the_same_subscription_bears_out_both_and_nobody_else() {
    let mut story = Story::plain();
    story.claims("v", 1, "a", LIMIT);
    story.claims("v", 2, "a", LIMIT);
    story.claims("x", 1, "b", LIMIT);
    story.claims("y", 1, "a", FailureKind::Auth);
    assert_eq!(story.agreed(), []);
    story.claims("w", 1, "a", LIMIT);
    assert_eq!(story.agreed(), [("v".to_owned(), "a".into(), LIMIT), ("w".to_owned(), "a".into(), LIMIT)]);
    assert_eq!(story.agreed(), [], "it is told once");
}

#[test]
fn a_claim_that_is_over_bears_nothing_out() {
    let mut story = Story::plain();
    story.claims("v", 1, "a", LIMIT);
    story.judged("v", 1);
    story.claims("w", 1, "a", LIMIT);
    assert_eq!(story.agreed(), []);
    story.pass(WINDOW);
    story.claims("x", 1, "a", LIMIT);
    assert_eq!(story.agreed(), [], "two minutes are too long");
    story.pass(WINDOW.saturating_sub(SECOND));
    story.claims("y", 1, "a", LIMIT);
    assert_eq!(story.agreed().len(), 2);
}

#[test]
fn what_another_agent_was_moved_for_bears_a_claim_out_as_long_as_it_cools() {
    let mut story = Story::plain();
    story.cools(cooled(&story, "v", "a"));
    story.claims("v", 1, "a", LIMIT);
    assert_eq!(story.agreed(), [], "its own word is no second one");
    story.claims("w", 1, "a", LIMIT);
    let _ = story.agreed();
    story.claims("x", 1, "b", LIMIT);
    assert_eq!(story.agreed(), []);
    story.cools(cooled(&story, "x", "b"));
    assert_eq!(story.agreed(), [], "its own word is no second one");
    story.cools(cooled(&story, "v", "b"));
    assert_eq!(story.agreed(), [("x".to_owned(), "b".into(), LIMIT)]);

    let mut story = Story::plain();
    story.cools(cooled(&story, "v", "a"));
    story.claims("w", 1, "a", FailureKind::Billing);
    assert_eq!(story.agreed(), [], "it says something else");
    story.pass(HOUR.saturating_sub(SECOND));
    story.claims("w", 2, "a", LIMIT);
    assert_eq!(story.agreed(), [("w".to_owned(), "a".into(), LIMIT)]);
    story.pass(SECOND);
    story.claims("x", 1, "b", LIMIT);
    story.claims("y", 1, "c", LIMIT);
    assert_eq!(story.agreed(), []);
}

#[test]
fn a_flood_of_claims_takes_bounded_room_and_the_newest_still_count() {
    let mut story = Story::plain();
    for number in 0..5_000 {
        story.claims("v", number, "a", FailureKind::Auth);
    }
    story.claims("x", 1, "b", LIMIT);
    story.claims("y", 1, "b", LIMIT);
    assert_eq!(story.agreed().len(), 2);
}
