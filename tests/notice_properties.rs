//! Random histories of notifications, driven as the outbox drives them: nothing is lost, nothing is told too often, and
//! the last word about every trouble is right.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use switchman::domain::{Message, Notes, Notification, NotifyEvent, Severity, Wall};
use switchman::machine::notices::{self, Fate, HOUR, QUIET, Taste};

const START: Wall = Wall(1_795_000_000_000);

fn taste(per_hour: u32) -> Taste {
    Taste { events: NotifyEvent::ALL.iter().copied().collect(), severity: Severity::Info, per_hour }
}

/// What happens to one of three agents, seconds after what happened before.
#[derive(Debug, Clone, Copy)]
struct Happening {
    after_s: u64,
    agent: usize,
    is_switch: bool,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = (prop_oneof![0..60_u64, 0..1200_u64], 0..3_usize, proptest::bool::weighted(0.2));
    let one = one.prop_map(|(after_s, agent, is_switch)| Happening { after_s, agent, is_switch });
    proptest::collection::vec(one, 1..80)
}

/// The outbox and its target, without a store. A crash forgets nothing but what was sent and not yet written.
struct Target {
    taste: Taste,
    notes: Notes,
    sent: Vec<(Wall, Message)>,
    fates: BTreeMap<&'static str, u64>,
}

impl Target {
    fn carry_out(&mut self, step: notices::Step, now: Wall) {
        self.sent.extend(step.message.map(|message| (now, message)));
        self.notes = step.notes;
    }

    fn take(&mut self, notification: &Notification, now: Wall) {
        let step = notices::take(&self.notes, &self.taste, notification, now);
        let fate = match step.fate {
            Fate::Told => "told",
            Fate::Gathered => "gathered",
            Fate::Waits => "waits",
            Fate::Merged => "merged",
            Fate::Unwanted => "unwanted",
        };
        *self.fates.entry(fate).or_default() += 1;
        self.carry_out(step, now);
    }

    /// Does what is due up to then, at its time.
    fn until(&mut self, end: Wall) {
        while let Some(due) = notices::next_due(&self.notes, &self.taste, end).filter(|due| *due <= end) {
            let mut steps = 0;
            while let Some(step) = notices::due(&self.notes, &self.taste, due) {
                self.carry_out(step, due);
                steps += 1;
            }
            assert!(steps > 0, "what is due comes off: {:#?}", self.notes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_last_word_is_right_nothing_is_lost_and_nothing_storms(history in happenings(), per_hour in prop_oneof![1..8_u32, 20..60_u32]) {
        let mut target =
            Target { taste: taste(per_hour), notes: Notes::default(), sent: Vec::new(), fates: BTreeMap::new() };
        let (mut now, mut is_exhausted, mut switches) = (START, [false; 3], 0_u64);
        for (number, happening) in history.iter().enumerate() {
            let then = now.plus(Duration::from_secs(happening.after_s));
            target.until(then);
            now = then;
            let agent = happening.agent;
            let event = if happening.is_switch {
                switches += 1;
                NotifyEvent::Switch
            } else {
                is_exhausted[agent] ^= true;
                if is_exhausted[agent] { NotifyEvent::Exhausted } else { NotifyEvent::Woken }
            };
            let told = Notification::new(event, format!("n{number}"), now, String::new());
            target.take(&Notification { agent: Some(format!("a{agent}").into()), ..told }, now);
        }
        // Long after the last one all has been said.
        target.until(now.plus(QUIET + HOUR * 3));
        prop_assert_eq!(notices::next_due(&target.notes, &target.taste, now.plus(QUIET + HOUR * 3)), None);
        prop_assert!(!target.fates.contains_key("unwanted"), "{:?}", target.fates);

        let mut told = BTreeMap::<&str, u64>::new();
        let mut ids = std::collections::BTreeSet::new();
        for (_, message) in &target.sent {
            prop_assert!(ids.insert(&message.id), "{} was sent twice", message.id);
            if message.counts.is_empty() {
                *told.entry(message.event).or_default() += 1;
            }
            for (event, count) in &message.counts {
                *told.entry(event.as_str()).or_default() += count;
            }
        }
        let of = |event: &str| told.get(event).copied().unwrap_or_default();
        prop_assert_eq!(of("switch"), switches, "every one, by itself or in a summary");
        // Every end is told for a beginning that was, and what is open now was told last.
        let open = is_exhausted.iter().filter(|is| **is).count() as u64;
        prop_assert_eq!(of("exhausted"), of("woken") + open);

        // Never more than the cap in any hour: nothing here is critical.
        for (at, _) in &target.sent {
            let in_the_hour = target.sent.iter().filter(|(other, _)| other >= at && other.since(*at) < HOUR).count();
            prop_assert!(in_the_hour <= per_hour as usize, "{in_the_hour} in an hour");
        }
        // Of one agent at most two words in the quiet time: that it is so, and that it is over.
        for agent in 0..3 {
            let name = format!("a{agent}");
            let about = |message: &Message| message.event == "exhausted" && message.agent.as_ref().is_some_and(|a| a.as_str() == name);
            let begins: Vec<_> = target.sent.iter().filter(|(_, message)| about(message)).map(|(at, _)| *at).collect();
            for pair in begins.windows(2) {
                prop_assert!(pair[1].since(pair[0]) >= QUIET, "{:?}", begins);
            }
        }
    }

    #[test]
    fn a_crash_between_sending_and_writing_repeats_that_one_message_and_no_other(
        history in happenings(), crash in 0..40_usize, per_hour in 1..4_u32,
    ) {
        let taste = taste(per_hour);
        let notification = |number: usize, happening: &Happening, at| {
            let event = if happening.is_switch { NotifyEvent::Switch } else { NotifyEvent::Parked };
            let told = Notification::new(event, format!("n{number}"), at, String::new());
            Notification { agent: Some(format!("a{}", happening.agent).into()), ..told }
        };
        let (mut notes, mut now, mut count) = (Notes::default(), START, 0);
        for (number, happening) in history.iter().enumerate() {
            now = now.plus(Duration::from_secs(happening.after_s));
            let told = notification(number, happening, now);
            let step = notices::take(&notes, &taste, &told, now);
            if let Some(message) = &step.message {
                if count == crash {
                    // What was written is what is taken up.
                    let again = notices::take(&notes.clone(), &taste, &told, now);
                    prop_assert_eq!(again.message.as_ref().map(|again| &again.id), Some(&message.id));
                }
                count += 1;
            }
            notes = step.notes;
            while let Some(step) = notices::due(&notes, &taste, now) {
                if let Some(message) = &step.message {
                    let again = notices::due(&notes, &taste, now.plus(Duration::from_secs(60))).unwrap();
                    prop_assert_eq!(again.message.as_ref(), Some(message));
                }
                notes = step.notes;
            }
        }
    }
}
