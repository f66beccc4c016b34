//! Rows to write, with everything set to something that can be told apart.

use std::collections::BTreeMap;
use std::time::Duration;

use switchman::domain::{
    AgentName, Answer, AnswerSwitch, Assignment, Attributes, Cancel, Cause, CauseBy, Change, Cooldown, CooldownKey,
    CooldownSource, FailureId, FailureKind, FailureRecord, Fingerprint, Generation, Instance, Intent, IntentEnd,
    IntentId, IntentMarks, IntentOutcome, Lost, Model, Notification, NotifyEvent, Outcome, Pause, Plan, QuotaIdentity,
    Reach, ReportId, Reporter, Rest, SessionName, SessionRecord, SubscriptionName, Trouble, Turn, TurnClass, TurnEnd,
    TurnEnded, TurnId, TurnKey, Wall, Window,
};

/// A day, in milliseconds.
pub(crate) const DAY: i64 = 86_400_000;
/// When things begin in these tests.
pub(crate) const T0: i64 = 1_700_000_000_000;

pub(crate) fn agent(name: &str) -> AgentName {
    AgentName::from(name)
}

pub(crate) fn sub(name: &str) -> SubscriptionName {
    SubscriptionName::from(name)
}

pub(crate) fn failure_id(name: &str, number: u64) -> FailureId {
    FailureId { agent: agent(name), number }
}

pub(crate) fn intent_id(name: &str, number: u64) -> IntentId {
    IntentId { agent: agent(name), number }
}

pub(crate) fn turn_id(name: &str, number: u64) -> TurnId {
    TurnId { agent: agent(name), number }
}

pub(crate) fn attributes() -> Attributes {
    Attributes::fresh(Generation(0), 0, 0)
}

pub(crate) fn full_attributes() -> Attributes {
    Attributes {
        rest: Rest::Exhausted { since: Wall(T0 + 1), earliest: Some(Wall(T0 + 2)) },
        trouble: Some(Trouble {
            kind: FailureKind::RateLimit,
            failure: Some(failure_id("web-f1", 7)),
            observed_at: Wall(T0 + 3),
            until: Some(Wall(T0 + 4)),
        }),
        wake_at: Some(Wall(T0 + 5)),
        pause: Some(Pause { until: Some(Wall(T0 + 6)) }),
        pin: Some(sub("max-a")),
        issued: Generation(9),
        failures: 8,
        intents: 7,
        apply_failures: 2,
        exclusions: BTreeMap::from([(sub("max-b"), Wall(T0 + 7)), (sub("quo\"te"), Wall(-1))]),
        switched_at: Some(Wall(T0 + 8)),
        credential: Some(Fingerprint("0123456789abcdef".to_owned())),
        replaced: Some(instance()),
    }
}

pub(crate) fn saved(name: &str, attributes: &Attributes) -> Change {
    Change::AgentSaved(agent(name), Box::new(attributes.clone()))
}

/// A failure with as little as possible.
pub(crate) fn failure(name: &str, number: u64) -> FailureRecord {
    FailureRecord {
        id: failure_id(name, number),
        report: None,
        at: Wall(T0 + number.cast_signed()),
        observed_at: None,
        kind: FailureKind::Unknown,
        outcome: Outcome::Ignored,
        subscription: None,
        generation: None,
        turn: None,
        model: None,
        window: Window::Unknown,
        reset_at: None,
        reporter: Reporter::Agent,
        sender: String::new(),
        reason: None,
        count: 1,
        answer: None,
    }
}

/// A failure with everything.
pub(crate) fn full_failure(name: &str, number: u64, report: &str) -> FailureRecord {
    FailureRecord {
        report: Some((ReportId::from(report), u64::MAX - 1)),
        observed_at: Some(Wall(T0 - 5)),
        kind: FailureKind::RateLimit,
        outcome: Outcome::Switching,
        subscription: Some(sub("max-a")),
        generation: Some(Generation(1)),
        turn: Some(turn_id("web-t1", 3)),
        model: Some(Model::from("opus")),
        window: Window::Weekly,
        reset_at: Some(Wall(T0 + DAY)),
        reporter: Reporter::Trusted,
        sender: "uid 1000 pid 4711".to_owned(),
        reason: Some("it's a 'limit'; -- \u{1F642}".to_owned()),
        count: 3,
        answer: Some(Box::new(answer(name, number))),
        ..failure(name, number)
    }
}

pub(crate) fn answer(name: &str, number: u64) -> Answer {
    Answer {
        outcome: Outcome::Switching,
        duplicate: false,
        failure: Some(failure_id(name, number)),
        kind: FailureKind::RateLimit,
        agent: agent(name),
        subscription: Some(sub("max-a")),
        generation: Some(Generation(1)),
        switch: Some(AnswerSwitch {
            id: intent_id(name, 1),
            from: Some(sub("max-a")),
            to: sub("max-b"),
            generation: Generation(2),
            outcome: IntentOutcome::UnderWay,
        }),
        retry_after: Some(Duration::from_millis(1_500)),
        earliest_reset: Some(Wall(T0 + 11)),
        reason: Some("because".to_owned()),
    }
}

pub(crate) fn intent(name: &str, number: u64, generation: u64, to: &str) -> Intent {
    Intent {
        id: intent_id(name, number),
        plan: Plan::Switch,
        generation: Generation(generation),
        from: Some(sub("max-a")),
        to: sub(to),
        cause: Cause {
            by: CauseBy::Failure,
            kind: Some(FailureKind::RateLimit),
            failure: Some(failure_id(name, 1)),
            reason: Some("five hours are used up".to_owned()),
        },
        observed_at: Wall(T0 - 5),
        started_at: Wall(T0 + number.cast_signed()),
        turn: None,
    }
}

pub(crate) fn end(name: &str, number: u64, outcome: IntentOutcome, at: i64) -> IntentEnd {
    IntentEnd {
        id: intent_id(name, number),
        outcome,
        finished_at: Wall(at),
        marks: IntentMarks {
            drained_at: Some(Wall(at - 3)),
            delivered_at: outcome.is_delivered().then_some(Wall(at - 2)),
            applied_at: outcome.is_delivered().then_some(Wall(at - 1)),
        },
        turns_cut_off: 2,
        restarts: u32::from(outcome.is_delivered()),
        reason: Some("said so".to_owned()),
    }
}

/// A turn with as little as possible.
pub(crate) fn turn(name: &str, number: u64, session: &str) -> Turn {
    Turn {
        id: turn_id(name, number),
        session: SessionName::from(session),
        class: TurnClass::Background,
        holder: String::new(),
        subscription: sub("max-a"),
        generation: Generation(1),
        begun_at: Wall(T0 + number.cast_signed()),
        key: None,
        life: None,
        is_taken: false,
        until: Wall(T0 + 60_000),
        cancel: None,
        has_failed: false,
        lost: None,
    }
}

/// A turn with everything.
pub(crate) fn full_turn(name: &str, number: u64, session: &str) -> Turn {
    Turn {
        class: TurnClass::Interactive,
        holder: "chat 'front end'; -- \u{1F642}".to_owned(),
        subscription: sub("max-b"),
        generation: Generation(u64::MAX),
        key: Some((TurnKey::from(format!("key-{number}")), u64::MAX - 1)),
        life: Some(instance()),
        is_taken: true,
        until: Wall(T0 + 120_000),
        cancel: Some(Cancel { by: "uid 1000".to_owned(), until: Wall(T0 + 10_000) }),
        has_failed: true,
        lost: Some(Lost::Unacknowledged),
        ..turn(name, number, session)
    }
}

pub(crate) fn begun(turn: &Turn) -> Change {
    Change::TurnBegun { turn: Box::new(turn.clone()), waited: Duration::from_millis(7) }
}

pub(crate) fn changed(turn: &Turn) -> Change {
    Change::TurnChanged(Box::new(turn.clone()))
}

pub(crate) fn over(turn: &Turn, end: TurnEnd, at: i64) -> Change {
    let ended = TurnEnded { end, at: Wall(at), by: None, reason: None };
    Change::TurnEnded { turn: Box::new(turn.clone()), ended }
}

pub(crate) fn session(name: &str, last_completed: Option<u64>, is_closed: bool) -> SessionRecord {
    SessionRecord { session: SessionName::from(name), last_completed, is_closed }
}

pub(crate) fn instance() -> Instance {
    Instance { id: "f00d".to_owned(), started_at: "2026-01-01T00:00:00.123456789Z".to_owned() }
}

pub(crate) fn assignment(subscription: &str, generation: u64, since: i64) -> Assignment {
    Assignment { subscription: sub(subscription), generation: Generation(generation), since: Wall(since) }
}

pub(crate) fn assigned(name: &str, to: &Assignment, replaces: u64) -> Change {
    Change::Assigned { agent: agent(name), assignment: to.clone(), replaces: Generation(replaces) }
}

pub(crate) fn cooldown(reach: Reach, quota: &str, until: Option<i64>) -> Cooldown {
    Cooldown {
        key: CooldownKey {
            reach,
            quota: QuotaIdentity::from(quota),
            credential: None,
            window: Window::FiveHour,
            model: None,
        },
        subscription: sub("max-a"),
        kind: FailureKind::RateLimit,
        source: CooldownSource::Reporter,
        since: Wall(T0),
        until: until.map(Wall),
        failure: Some(failure_id("web", 1)),
    }
}

pub(crate) fn notification(id: &str, at: i64) -> Notification {
    Notification {
        id: id.to_owned(),
        event: NotifyEvent::Switch,
        at: Wall(at),
        agent: Some(agent("web")),
        subscription: Some(sub("max-b")),
        generation: Some(Generation(2)),
        intent: Some(intent_id("web", 1)),
        text: "web now runs on max-b".to_owned(),
        action: None,
        is_over: false,
    }
}
