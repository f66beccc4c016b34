//! How a subscription stands whoever asks, and that agents are told the same.

use switchman::domain::{Reading, Teller, Utilisation, Window};
use switchman::machine::pool::Ineligible;

use crate::words::{HOUR, MINUTE, SECOND, Story, wakes};

fn refused(story: &Story) -> Option<Ineligible> {
    story.pool.refused_for_all(&"a".into(), story.now)
}

#[test]
fn a_trusted_refusal_keeps_everybody_off_until_its_reset_or_until_it_is_too_old() {
    let mut story = Story::plain();
    let reading = Reading { serves: false, reset_at: Some(story.now.plus(10 * MINUTE)), ..story.reading("a", 3.0) };
    story.reads(reading);
    let until = story.now.plus(10 * MINUTE);
    assert_eq!(refused(&story), Some(Ineligible::Refused { window: Window::FiveHour, until }));
    assert_eq!(story.verdict(&wakes("w"), "a"), refused(&story));
    story.pass(10 * MINUTE);
    assert_eq!((refused(&story), story.verdict(&wakes("w"), "a")), (None, None));
    story.reads(Reading { serves: false, ..story.reading("a", 3.0) });
    let until = story.now.plus(30 * MINUTE);
    assert_eq!(refused(&story), Some(Ineligible::Refused { window: Window::FiveHour, until }));
    story.pass(30 * MINUTE);
    assert_eq!((refused(&story), story.verdict(&wakes("w"), "a")), (None, None));
}

#[test]
fn an_agents_own_refusal_and_one_of_a_model_are_no_refusal_for_all() {
    let mut story = Story::plain();
    story.reads(Reading { serves: false, told_by: Teller::Agent("w".into()), ..story.reading("a", 3.0) });
    story.reads(Reading {
        serves: false,
        model: Some("opus".into()),
        window: Window::Model,
        ..story.reading("a", 3.0)
    });
    assert_eq!(refused(&story), None);
    let mut view = wakes("x");
    view.models = vec!["haiku".into()];
    assert_eq!(story.verdict(&view, "a"), None);
}

#[test]
fn of_several_tellers_the_newest_word_on_a_window_counts_and_the_fullest_window_is_the_wall() {
    let mut story = Story::plain();
    let wall = |story: &Story| story.pool.nearest_wall(&"a".into(), story.now).map(|wall| (wall.window, wall.used()));
    assert_eq!(wall(&story), None);
    story.reads(story.reading("a", 90.0));
    story.pass(SECOND);
    story.reads(Reading { told_by: Teller::Agent("w".into()), ..story.reading("a", 20.0) });
    assert_eq!(wall(&story), Some((Window::FiveHour, Some(Utilisation(200)))));
    story.reads(Reading { window: Window::Weekly, ..story.reading("a", 55.0) });
    assert_eq!(wall(&story), Some((Window::Weekly, Some(Utilisation(550)))));
    story.reads(Reading { serves: false, utilisation: None, window: Window::Weekly, ..story.reading("a", 0.0) });
    assert_eq!(wall(&story), Some((Window::Weekly, Some(Utilisation::FULL))));
    assert_eq!(story.pool.fresh_readings(&"a".into(), story.now).len(), 2);
    story.pass(HOUR);
    assert_eq!((wall(&story), story.pool.fresh_readings(&"a".into(), story.now)), (None, vec![]));
    assert_eq!(story.pool.readings(&"a".into()).len(), 3, "what is old is known all the same");
    assert_eq!(story.pool.nearest_wall(&"nobody".into(), story.now), None);
}
