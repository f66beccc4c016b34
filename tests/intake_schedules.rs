//! Every schedule of producers, an actor and its crashes around the intake: nothing is left in it without a wake
//! token on its way.
//!
//! The intake is the production one. What stands around it (a lock, a mailbox, an actor that takes and may die) is
//! modelled with shuttle's primitives, which try thousands of interleavings.

use std::collections::VecDeque;

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use switchman::actor::intake::{Admission, Intake};
use switchman::domain::{
    Answer, FailureId, FailureKind, Generation, LogPosition, Outcome, Report, Reporter, Stamp, Steady, Trust, Wall,
    Window,
};
use switchman::machine::agent::Command;

const PRODUCERS: u64 = 3;
const POSTS: u64 = 3;
const SCHEDULES: usize = 3_000;

/// The lock around intake and mailbox, as the seat has it: the token is cast under the lock.
struct Seat {
    desk: Mutex<Desk>,
    arrived: Condvar,
}

struct Desk {
    intake: Intake,
    /// The mailbox of the present incarnation.
    mailbox: VecDeque<()>,
    tokens_most: usize,
    taken: u64,
    shed: u64,
    producers_left: u64,
    is_done: bool,
}

impl Seat {
    fn new(ids: bool) -> Self {
        let mut intake = Intake::default();
        if ids {
            intake.install_ids(&[], Wall(0));
        }
        let desk = Desk {
            intake,
            mailbox: VecDeque::new(),
            tokens_most: 0,
            taken: 0,
            shed: 0,
            producers_left: PRODUCERS,
            is_done: false,
        };
        Self { desk: Mutex::new(desk), arrived: Condvar::new() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Desk) -> (T, bool)) -> T {
        let mut desk = self.desk.lock().expect("whole");
        let (result, must_wake) = work(&mut desk);
        if must_wake {
            desk.mailbox.push_back(());
            desk.tokens_most = desk.tokens_most.max(desk.mailbox.len());
            self.arrived.notify_one();
        }
        result
    }
}

fn report(producer: u64, number: u64) -> Report {
    Report {
        id: None,
        kind: FailureKind::RateLimit,
        subscription: None,
        generation: Some(Generation(producer * 1000 + number + 1)),
        turn: None,
        model: None,
        window: Window::Unknown,
        reset_at: None,
        trust: Trust::Structured,
        is_hearsay: false,
        observed_at: None,
        origin: switchman::domain::Origin::Untold,
        read_to: None,
        reporter: Reporter::Trusted,
        sender: String::new(),
        reason: None,
    }
}

fn produce(seat: &Seat, producer: u64) {
    for number in 0..POSTS {
        if producer == 0 && number == 1 {
            // An operator's command takes the same door.
            seat.with(|desk| {
                let (reply, must_wake) = desk.intake.order(Command::Resume);
                (reply, must_wake)
            });
            continue;
        }
        seat.with(|desk| {
            let stamp = Stamp::Generation(Generation(1));
            let (admission, must_wake) = desk.intake.post(report(producer, number), 0, stamp, Steady(0));
            desk.shed += u64::from(matches!(admission, Admission::Shed));
            ((), must_wake)
        });
    }
    seat.with(|desk| {
        desk.producers_left -= 1;
        ((), false)
    });
    seat.arrived.notify_one();
}

/// One incarnation; returns whether it died. It takes one report at a time, so that something is often left behind.
fn live(seat: &Seat, dies_after: Option<u64>) -> bool {
    let mut handled = 0;
    seat.with(|desk| {
        // The mailbox of the dead one is gone with its token.
        desk.mailbox.clear();
        desk.intake.attach();
        desk.mailbox.push_back(());
        ((), false)
    });
    loop {
        let mut desk = seat.desk.lock().expect("whole");
        while desk.mailbox.is_empty() {
            if desk.producers_left == 0 {
                desk.is_done = true;
                return false;
            }
            desk = seat.arrived.wait(desk).expect("whole");
        }
        desk.mailbox.pop_front();
        if dies_after.is_some_and(|after| handled >= after) {
            return true;
        }
        drop(desk);
        seat.with(|desk| {
            let batch = desk.intake.take(1);
            desk.taken += (batch.reports.len() + batch.commands.len()) as u64;
            let must_wake = batch.has_more && desk.intake.wake();
            ((), must_wake)
        });
        handled += 1;
    }
}

fn schedule(crashes: &'static [u64]) {
    let seat = Arc::new(Seat::new(false));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let seat = Arc::clone(&seat);
            thread::spawn(move || produce(&seat, producer))
        })
        .collect();
    let actor = {
        let seat = Arc::clone(&seat);
        thread::spawn(move || {
            for after in crashes {
                if !live(&seat, Some(*after)) {
                    return;
                }
            }
            live(&seat, None);
        })
    };
    for producer in producers {
        producer.join().expect("whole");
    }
    actor.join().expect("whole");
    let mut desk = seat.desk.lock().expect("whole");
    assert!(desk.is_done);
    assert_eq!(desk.shed, 0);
    assert_eq!(desk.taken, PRODUCERS * POSTS, "something was left in the intake with nobody on the way to it");
    assert!(desk.tokens_most <= 1, "{} tokens in one mailbox", desk.tokens_most);
    let rest = desk.intake.take(100);
    assert!(rest.reports.is_empty() && rest.commands.is_empty());
}

#[test]
fn nothing_is_left_behind_whatever_the_schedule() {
    shuttle::check_random(|| schedule(&[]), SCHEDULES);
    shuttle::check_pct(|| schedule(&[]), SCHEDULES, 3);
}

#[test]
fn a_token_that_dies_with_its_actor_is_replaced() {
    shuttle::check_random(|| schedule(&[0, 1, 0]), SCHEDULES);
    shuttle::check_pct(|| schedule(&[2, 0]), SCHEDULES, 3);
}

/// A count that came in for an answer is written down also when a later answer to the same takes its place.
#[test]
fn a_count_outlives_the_answer_that_it_was_counted_for() {
    let mut intake = Intake::default();
    let post = |intake: &mut Intake| intake.post(report(0, 0), 0, Stamp::Generation(Generation(1)), Steady(0)).0;
    let take = |intake: &mut Intake| intake.take(1).reports.remove(0);
    assert!(matches!(post(&mut intake), Admission::Queued(_)));
    let first = take(&mut intake);
    assert!(matches!(post(&mut intake), Admission::Queued(_)), "the first is not answered yet");
    let second = take(&mut intake);
    intake.answer(first, Ok(answer(1)), Steady(0), Wall(0));
    assert!(matches!(post(&mut intake), Admission::Settled(_)));
    intake.answer(second, Ok(answer(2)), Steady(0), Wall(0));
    assert!(intake.has_counts());
    assert_eq!(intake.counts(), [(failure(1), 2)]);
    assert!(!intake.has_counts());
}

/// How far a log was read goes with the counts, and never back behind what a later report has written down.
#[test]
fn a_count_out_of_a_log_brings_its_position_along() {
    let at = |seen| Some(LogPosition { container: "one".to_owned(), at_ns: 1, seen });
    let line = |kind: u64, seen| Report { read_to: at(seen), ..report(kind, 0) };
    let mut intake = Intake::default();
    let post = |intake: &mut Intake, line| intake.post(line, 0, Stamp::Generation(Generation(1)), Steady(0)).0;
    assert!(matches!(post(&mut intake, line(0, 1)), Admission::Queued(_)));
    let first = intake.take(1).reports.remove(0);
    intake.answer(first, Ok(answer(1)), Steady(0), Wall(0));
    assert_eq!(intake.counted_to(), None);
    for seen in [2, 3] {
        assert!(matches!(post(&mut intake, line(0, seen)), Admission::Settled(_)));
    }
    assert_eq!((intake.counted_to(), intake.counted_to()), (at(3), None));
    assert!(matches!(post(&mut intake, line(0, 4)), Admission::Settled(_)));
    assert!(matches!(post(&mut intake, line(1, 5)), Admission::Queued(_)));
    assert_eq!(intake.counted_to(), None, "the fifth line's own report writes down more");
}

fn failure(number: u64) -> FailureId {
    FailureId { agent: "one".into(), number }
}

fn answer(number: u64) -> Answer {
    Answer {
        outcome: Outcome::Repeat,
        duplicate: false,
        failure: Some(failure(number)),
        kind: FailureKind::RateLimit,
        agent: "one".into(),
        subscription: None,
        generation: None,
        switch: None,
        retry_after: None,
        earliest_reset: None,
        reason: None,
    }
}
