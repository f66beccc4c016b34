//! What a target is told, what is merged, and what waits.
//!
//! Two things make notifications unbearable: the same trouble told again and again, and a hundred of them at once. So a
//! trouble is told once, until it ends or changes; one that comes back within [`QUIET`] waits until then and is told if
//! it is still there; its end is told if the trouble was, and only then. And of at most so many messages in an hour;
//! what is beyond is counted, and told as one summary when there is room. What is critical is never held back by that,
//! nor is its end.
//!
//! Pure: notes and a notification go in, a step comes out. Whoever carries it out sends first and writes the notes
//! afterwards, together with the position of what it took: a crash in between sends that one message again, with the
//! same id. A summary is closed and written before it is sent, so that its id always stands for the same content.
//!
//! Invariants: every notification that is wanted is told, counted in a summary, merged into a trouble that is told
//! already, or waits with a time. The last word that a target has of a trouble is right, `QUIET` after it changed.
//!
//! Tests: below; `tests/notice_properties.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{
    AgentName, Gathered, Message, Notes, Notification, NotifyEvent, Severity, TroubleKey, TroubleNote, Wall,
};

/// A trouble that comes back is told again so long after it was told last, not sooner.
pub const QUIET: Duration = Duration::from_secs(10 * 60);
/// A trouble that is told again without an end between is another one after so long.
pub const ANOTHER: Duration = Duration::from_secs(60 * 60);
/// What the cap counts over.
pub const HOUR: Duration = Duration::from_secs(60 * 60);

/// What a target wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taste {
    /// About what.
    pub events: BTreeSet<NotifyEvent>,
    /// Nothing that matters less, but for the end of a trouble that was told.
    pub severity: Severity,
    /// How many messages in an hour before they are gathered.
    pub per_hour: u32,
}

impl Taste {
    /// The end of any trouble is wanted by whoever wants `recovered`.
    fn wants(&self, notification: &Notification, is_end: bool) -> bool {
        self.events.contains(&notification.event) || is_end && self.events.contains(&NotifyEvent::Recovered)
    }
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is told now.
    Told,
    /// It is counted, and told in a summary.
    Gathered,
    /// Its trouble came back too soon: told later, if it is still there.
    Waits,
    /// The target knows already, or what it says has ended again before it was told.
    Merged,
    /// The target does not want it.
    Unwanted,
}

/// What to do next: send the message, if there is one, then write the notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is sent.
    pub message: Option<Message>,
    /// The notes once it is sent.
    pub notes: Notes,
    /// What became of the notification that was taken.
    pub fate: Fate,
}

enum About {
    /// Something that happens and is over with that.
    Event,
    /// A trouble begins.
    Trouble(TroubleKey),
    /// Troubles are over.
    End(Vec<TroubleKey>),
}

fn about(notification: &Notification) -> About {
    let of_agent = |event| TroubleKey { event, agent: notification.agent.clone(), subscription: None };
    let key = match notification.event {
        NotifyEvent::Switch | NotifyEvent::TurnBegun | NotifyEvent::Fenced => return About::Event,
        NotifyEvent::Woken => return About::End(vec![of_agent(NotifyEvent::Exhausted)]),
        NotifyEvent::Recovered => {
            let kinds = [NotifyEvent::Exhausted, NotifyEvent::Parked, NotifyEvent::Braked];
            return About::End(kinds.into_iter().map(of_agent).collect());
        }
        NotifyEvent::Resumed => {
            return About::End(vec![TroubleKey { event: NotifyEvent::Halted, agent: None, subscription: None }]);
        }
        NotifyEvent::Exhausted | NotifyEvent::Parked | NotifyEvent::Braked => of_agent(notification.event),
        NotifyEvent::Engine | NotifyEvent::Halted => {
            TroubleKey { event: notification.event, agent: None, subscription: None }
        }
        // Whoever noticed it first: it is the subscription's trouble.
        NotifyEvent::Banned | NotifyEvent::LoginExpiring => {
            TroubleKey { event: notification.event, agent: None, subscription: notification.subscription.clone() }
        }
    };
    if notification.is_over { About::End(vec![key]) } else { About::Trouble(key) }
}

/// Takes the next notification of the outbox.
#[must_use]
pub fn take(notes: &Notes, taste: &Taste, notification: &Notification, now: Wall) -> Step {
    let mut notes = current(notes, now);
    match about(notification) {
        About::Event => {
            if !taste.wants(notification, false) || notification.severity() < taste.severity {
                return quietly(notes, Fate::Unwanted);
            }
            tell(notes, taste, notification, notification.severity(), now)
        }
        About::Trouble(key) => {
            if !taste.wants(notification, false) || notification.severity() < taste.severity {
                return quietly(notes, Fate::Unwanted);
            }
            if let Some(known) = notes.troubles.get_mut(&key) {
                if known.is_over && notification.at.since(known.told_at) < QUIET {
                    known.waiting = Some(Box::new(notification.clone()));
                    return quietly(notes, Fate::Waits);
                }
                let is_same = known.severity == notification.severity() && known.action == notification.action;
                if !known.is_over && is_same && notification.at.since(known.told_at) < ANOTHER {
                    return quietly(notes, Fate::Merged);
                }
            }
            notes.troubles.insert(key, note_of(notification));
            tell(notes, taste, notification, notification.severity(), now)
        }
        About::End(keys) => end(notes, taste, notification, &keys, now),
    }
}

fn end(mut notes: Notes, taste: &Taste, notification: &Notification, keys: &[TroubleKey], now: Wall) -> Step {
    let is_wanted = taste.wants(notification, true);
    let (mut was_told, mut was_waiting) = (None, false);
    for key in keys {
        let Some(known) = notes.troubles.get_mut(key) else { continue };
        was_waiting |= known.waiting.take().is_some();
        if !known.is_over {
            known.is_over = true;
            was_told = was_told.max(Some(known.severity));
        }
    }
    match was_told {
        Some(severity) if is_wanted => tell(notes, taste, notification, severity, now),
        Some(_) => quietly(notes, Fate::Unwanted),
        None => quietly(notes, if was_waiting { Fate::Merged } else { Fate::Unwanted }),
    }
}

/// What is due without a new notification: a trouble that is still there, or a summary for which there is room.
#[must_use]
pub fn due(notes: &Notes, taste: &Taste, now: Wall) -> Option<Step> {
    let mut notes = current(notes, now);
    if let Some(closing) = notes.closing.take() {
        let message = summary(&closing);
        notes.sent.push(now);
        return Some(Step { message: Some(message), notes, fate: Fate::Told });
    }
    if has_room(&notes, taste) && notes.gathered.is_some() {
        notes.closing = notes.gathered.take();
        return Some(quietly(notes, Fate::Gathered));
    }
    let back = notes.troubles.iter_mut().find(|(_, known)| waits_until(known).is_some_and(|until| until <= now));
    let (_, known) = back?;
    let notification = known.waiting.take()?;
    *known = TroubleNote { told_at: now, ..note_of(&notification) };
    let severity = known.severity;
    Some(tell(notes, taste, &notification, severity, now))
}

/// When [`due`] has to be asked at the latest; `None` if nothing waits.
#[must_use]
pub fn next_due(notes: &Notes, taste: &Taste, now: Wall) -> Option<Wall> {
    let notes = current(notes, now);
    if notes.closing.is_some() {
        return Some(now);
    }
    let room = notes.gathered.is_some().then(|| {
        let over = notes.sent.len().saturating_sub(taste.per_hour as usize);
        notes.sent.get(over).filter(|_| !has_room(&notes, taste)).map_or(now, |first| first.plus(HOUR))
    });
    notes.troubles.values().filter_map(waits_until).chain(room).min()
}

fn note_of(notification: &Notification) -> TroubleNote {
    TroubleNote {
        told_at: notification.at,
        severity: notification.severity(),
        action: notification.action.clone(),
        is_over: false,
        waiting: None,
    }
}

/// A clock that was set back makes no wait longer than it was.
fn waits_until(known: &TroubleNote) -> Option<Wall> {
    known.waiting.as_ref().map(|waiting| known.told_at.min(waiting.at).plus(QUIET))
}

/// Without what is no longer of use. What lies in the future after the clock was set back is of now.
fn current(notes: &Notes, now: Wall) -> Notes {
    let mut notes = notes.clone();
    for at in &mut notes.sent {
        *at = now.min(*at);
    }
    notes.sent.retain(|at| now.since(*at) < HOUR);
    for known in notes.troubles.values_mut() {
        known.told_at = known.told_at.min(now);
    }
    notes.troubles.retain(|_, known| !known.is_over || known.waiting.is_some() || now.since(known.told_at) < QUIET);
    notes
}

fn has_room(notes: &Notes, taste: &Taste) -> bool {
    notes.sent.len() < taste.per_hour as usize
}

fn quietly(notes: Notes, fate: Fate) -> Step {
    Step { message: None, notes, fate }
}

/// Tells it, or counts it if there is no room or others wait already.
fn tell(mut notes: Notes, taste: &Taste, notification: &Notification, severity: Severity, now: Wall) -> Step {
    if severity == Severity::Critical || has_room(&notes, taste) && notes.gathered.is_none() {
        notes.sent.push(now);
        return Step { message: Some(notification.into()), notes, fate: Fate::Told };
    }
    let first = || Gathered { first: notification.id.clone(), at: notification.at, counts: BTreeMap::new() };
    let gathered = notes.gathered.get_or_insert_with(first);
    gathered.at = gathered.at.max(notification.at);
    *gathered.counts.entry(notification.event).or_default() += 1;
    quietly(notes, Fate::Gathered)
}

fn summary(gathered: &Gathered) -> Message {
    let total: u64 = gathered.counts.values().sum();
    let mut counts: Vec<_> = gathered.counts.iter().collect();
    counts.sort_by_key(|(event, count)| (std::cmp::Reverse(**count), **event));
    let counted: Vec<_> = counts.iter().map(|(event, count)| format!("{count} {event}")).collect();
    Message {
        id: format!("summary-{}", gathered.first),
        event: "summary",
        severity: Severity::Warning,
        at: gathered.at,
        agent: None,
        subscription: None,
        generation: None,
        intent: None,
        text: format!("{total} more: {}", counted.join(", ")),
        action: Some("see `switchman status` and `switchman history`".to_owned()),
        is_over: false,
        counts: gathered.counts.clone(),
    }
}

/// The message that tries a target.
#[must_use]
pub fn test_message(number: u64, at: Wall) -> Message {
    Message {
        id: format!("test-{}-{number}", at.0),
        event: "test",
        severity: Severity::Info,
        at,
        agent: None::<AgentName>,
        subscription: None,
        generation: None,
        intent: None,
        text: "this is a test: notifications of switchman arrive here".to_owned(),
        action: None,
        is_over: false,
        counts: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Wall = Wall(1_795_000_000_000);

    fn minutes(minutes: u64) -> Wall {
        START.plus(Duration::from_secs(minutes * 60))
    }

    fn taste(per_hour: u32) -> Taste {
        Taste { events: NotifyEvent::ALL.iter().copied().collect(), severity: Severity::Info, per_hour }
    }

    fn of(agent: &str, event: NotifyEvent, at: Wall) -> Notification {
        let id = format!("{agent}-{event}-{}", at.0);
        Notification { agent: Some(agent.into()), ..Notification::new(event, id, at, format!("{agent} {event}")) }
    }

    /// A target, as the outbox drives it.
    struct Target {
        taste: Taste,
        notes: Notes,
        told: Vec<String>,
    }

    impl Target {
        fn new(taste: Taste) -> Self {
            Self { taste, notes: Notes::default(), told: Vec::new() }
        }

        fn carry_out(&mut self, step: Step) -> Fate {
            self.told.extend(step.message.map(|message| message.text));
            self.notes = step.notes;
            step.fate
        }

        fn take(&mut self, notification: &Notification) -> Fate {
            let step = take(&self.notes, &self.taste, notification, notification.at);
            self.carry_out(step)
        }

        fn at(&mut self, now: Wall) {
            while let Some(step) = due(&self.notes, &self.taste, now) {
                self.carry_out(step);
            }
        }
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_told_once_with_its_end_and_again_if_it_stays() {
        let mut target = Target::new(taste(60));
        assert_eq!(target.take(&of("a", NotifyEvent::Exhausted, minutes(0))), Fate::Told);
        assert_eq!(target.take(&of("a", NotifyEvent::Woken, minutes(1))), Fate::Told);
        for minute in [2, 4, 6] {
            assert_eq!(target.take(&of("a", NotifyEvent::Exhausted, minutes(minute))), Fate::Waits);
            assert_eq!(target.take(&of("a", NotifyEvent::Woken, minutes(minute + 1))), Fate::Merged);
        }
        assert_eq!(target.take(&of("a", NotifyEvent::Exhausted, minutes(8))), Fate::Waits);
        assert_eq!(next_due(&target.notes, &target.taste, minutes(8)), Some(minutes(10)));
        target.at(minutes(9));
        assert_eq!(target.told, ["a exhausted", "a woken"]);
        target.at(minutes(10));
        assert_eq!(target.told, ["a exhausted", "a woken", "a exhausted"]);
        assert_eq!(target.take(&of("a", NotifyEvent::Woken, minutes(11))), Fate::Told);
        assert_eq!(target.take(&of("a", NotifyEvent::Exhausted, minutes(50))), Fate::Told, "much later it is news");
    }

    #[test]
    fn an_end_is_told_to_whom_the_trouble_was_told_and_to_nobody_else() {
        let mut target = Target::new(taste(60));
        for event in [NotifyEvent::Woken, NotifyEvent::Recovered, NotifyEvent::Resumed] {
            assert_eq!(target.take(&of("a", event, minutes(0))), Fate::Unwanted, "{event}");
        }
        target.take(&of("a", NotifyEvent::Parked, minutes(1)));
        assert_eq!(target.take(&of("b", NotifyEvent::Recovered, minutes(2))), Fate::Unwanted, "another agent");
        assert_eq!(target.take(&of("a", NotifyEvent::Recovered, minutes(3))), Fate::Told);
        assert_eq!(target.take(&of("a", NotifyEvent::Recovered, minutes(4))), Fate::Unwanted, "once");

        let events = [NotifyEvent::Exhausted, NotifyEvent::Recovered].into();
        let mut floor = Target::new(Taste { events, severity: Severity::Warning, per_hour: 60 });
        floor.take(&of("a", NotifyEvent::Exhausted, minutes(0)));
        assert_eq!(floor.take(&of("a", NotifyEvent::Woken, minutes(1))), Fate::Told, "below the floor, and an end");
        let mut only = Target::new(Taste { events: [NotifyEvent::Exhausted].into(), ..taste(60) });
        only.take(&of("a", NotifyEvent::Exhausted, minutes(0)));
        assert_eq!(only.take(&of("a", NotifyEvent::Woken, minutes(1))), Fate::Unwanted, "left out of `events`");
        assert_eq!(only.take(&of("a", NotifyEvent::Exhausted, minutes(30))), Fate::Told, "and still it has ended");
    }

    #[test]
    fn the_same_ban_from_twenty_agents_is_told_once_and_another_action_again() {
        let mut target = Target::new(taste(60));
        let ban = |agent: &str, minute| Notification {
            subscription: Some("max-a".into()),
            ..of(agent, NotifyEvent::Banned, minutes(minute))
        };
        let fates: Vec<_> = (0..20).map(|number| target.take(&ban(&format!("a{number}"), number))).collect();
        assert_eq!(fates.iter().filter(|fate| **fate == Fate::Told).count(), 1);
        let changed = Notification { action: Some("call them".to_owned()), ..ban("a", 21) };
        assert_eq!(target.take(&changed), Fate::Told);
        let other = Notification { subscription: Some("max-b".into()), ..ban("a", 22) };
        assert_eq!(target.take(&other), Fate::Told);
        assert_eq!(target.take(&Notification { is_over: true, ..ban("z", 30) }), Fate::Told);
    }

    #[test]
    fn what_is_beyond_the_cap_is_told_in_one_and_what_is_critical_at_once() {
        let mut target = Target::new(taste(2));
        for number in 0..7 {
            target.take(&of(&format!("a{number}"), NotifyEvent::Switch, minutes(number)));
        }
        target.take(&of("b", NotifyEvent::Exhausted, minutes(8)));
        target.take(&of("c", NotifyEvent::Exhausted, minutes(8)));
        assert_eq!(target.take(&of("d", NotifyEvent::Parked, minutes(9))), Fate::Told);
        assert_eq!(target.take(&of("d", NotifyEvent::Recovered, minutes(10))), Fate::Told, "the end of it as well");
        assert_eq!(target.told, ["a0 switch", "a1 switch", "d parked", "d recovered"]);
        // Three of four messages must be an hour old before there is room for one of two.
        assert_eq!(next_due(&target.notes, &target.taste, minutes(11)), Some(minutes(69)));
        target.at(minutes(68));
        assert_eq!(target.told.len(), 4);
        target.at(minutes(69));
        assert_eq!(target.told[4..], ["7 more: 5 switch, 2 exhausted"]);
        assert_eq!(target.notes.gathered, None);
    }

    #[test]
    fn a_summary_that_is_under_way_stands_for_the_same_whatever_comes() {
        let mut target = Target::new(taste(1));
        for number in 0..3 {
            target.take(&of(&format!("a{number}"), NotifyEvent::Switch, minutes(number)));
        }
        let closed = due(&target.notes, &target.taste, minutes(60)).unwrap();
        assert_eq!(closed.message, None, "written down before it is sent");
        let first = due(&closed.notes, &target.taste, minutes(60)).unwrap().message.unwrap();
        // The daemon ends before the send is written down; something more comes first in the next life.
        let more = take(&closed.notes, &target.taste, &of("b", NotifyEvent::Switch, minutes(61)), minutes(61));
        let again = due(&more.notes, &target.taste, minutes(61)).unwrap().message.unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_day_holds_nothing_back_for_a_day() {
        let mut target = Target::new(taste(1));
        let day = 24 * 60;
        target.take(&of("a", NotifyEvent::Exhausted, minutes(day)));
        target.take(&of("a", NotifyEvent::Woken, minutes(0)));
        assert_eq!(target.take(&of("a", NotifyEvent::Exhausted, minutes(1))), Fate::Waits);
        assert!(next_due(&target.notes, &target.taste, minutes(1)).unwrap() <= minutes(11));
        target.at(minutes(11));
        target.at(minutes(62));
        assert_eq!(target.told, ["a exhausted", "2 more: 1 exhausted, 1 woken"]);
    }
}
