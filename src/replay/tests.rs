use super::*;
use crate::classify::{Classifier, Context};
use crate::domain::Tool;
use crate::machine::agent::testing::{policy, subscription};

/// 2026-11-21 12:00:00 UTC.
const START: Wall = Wall(1_795_262_400_000);
const HOUR: i64 = 3_600;

fn setting() -> Setting {
    Setting {
        agent: "worker".into(),
        policy: policy(),
        subscriptions: ["a", "b", "c"].map(|name| subscription(name, 8)).to_vec(),
        pool: PoolSettings::default(),
        on: "a".into(),
    }
}

fn at(seconds: i64) -> Wall {
    Wall(START.0 + seconds * 1_000)
}

fn said(line: u64, seconds: i64, text: &str) -> Told {
    let context = Context::new(Some(Tool::ClaudeCode), at(seconds));
    let verdict = Classifier::default().line(text.as_bytes(), &context).failure.expect(text);
    Told { line, at: at(seconds), verdict }
}

/// A five-hour limit that ends so long after the start.
fn limit(line: u64, seconds: i64, resets: i64) -> Told {
    let reset = at(resets).0 / 1_000;
    said(
        line,
        seconds,
        &format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{reset},"rateLimitType":"five_hour"}}}}"#
        ),
    )
}

/// A record that tells of a limit and states no more.
fn bare(line: u64, seconds: i64) -> Told {
    said(line, seconds, r#"{"type":"assistant","error":"rate_limit","message":{"model":"<synthetic>","content":[]}}"#)
}

fn play(told: &[Told]) -> (Replay, Rest) {
    let mut replay = Replay::new(setting(), START);
    for told in told {
        replay.tell(told);
    }
    let rest = replay.finish();
    (replay, rest)
}

fn outcomes(replay: &Replay) -> Vec<(u64, u64, Option<Outcome>)> {
    let reported = |entry: &Entry| match &entry.what {
        What::Reported { line, lines, outcome, .. } => Some((*line, *lines, *outcome)),
        _ => None,
    };
    replay.timeline().iter().filter_map(reported).collect()
}

#[test]
fn a_burst_is_one_switch_and_one_restart() {
    let mut burst: Vec<_> = (0..100).map(|line| limit(line, 0, 3 * HOUR)).collect();
    burst.extend((100..200).map(|line| limit(line, 1, 3 * HOUR)));
    burst.push(bare(200, 2));
    let (replay, rest) = play(&burst);
    assert_eq!((replay.switches(), replay.restarts()), (1, 1));
    assert_eq!((rest.phase, rest.subscription, rest.generation), ("serving", Some("b".into()), Generation(2)));
    let repeat = Some(Outcome::Repeat);
    assert_eq!(outcomes(&replay), [(0, 1, Some(Outcome::Switching)), (1, 199, repeat), (200, 1, repeat)]);
}

#[test]
fn lines_without_times_of_their_own_are_one_burst() {
    let (replay, _) = play(&(0..50).map(|line| bare(line, 0)).collect::<Vec<_>>());
    assert_eq!((replay.switches(), replay.restarts()), (1, 1));
}

#[test]
fn two_limits_move_it_twice_and_the_first_is_not_gone_back_to() {
    let (replay, rest) = play(&[limit(1, 0, 3 * HOUR), limit(2, HOUR, 5 * HOUR)]);
    assert_eq!((replay.switches(), replay.restarts(), rest.subscription), (2, 2, Some("c".into())));
    let moves: Vec<_> = replay
        .timeline()
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Began { from: Some(from), to, .. } => Some((entry.at, from.as_str(), to.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(moves, [(at(0), "a", "b"), (at(HOUR), "b", "c")]);
    let ended: Vec<_> = replay
        .timeline()
        .iter()
        .filter(|entry| matches!(entry.what, What::Ended { .. }))
        .map(|entry| entry.at)
        .collect();
    assert_eq!(ended, [at(5), at(HOUR + 5)], "a restart takes its time");
}

#[test]
fn a_limit_that_goes_on_being_told_is_the_same_limit() {
    let (replay, rest) = play(&[limit(1, 0, 3 * HOUR), limit(2, 600, 3 * HOUR), limit(3, HOUR, 3 * HOUR + 30)]);
    assert_eq!((replay.switches(), rest.subscription), (1, Some("b".into())));
    let stale = Some(Outcome::Stale);
    assert_eq!(outcomes(&replay), [(1, 1, Some(Outcome::Switching)), (2, 1, stale), (3, 1, stale)]);
}

#[test]
fn with_nobody_left_it_waits_and_goes_on_at_the_reset() {
    let limits = [limit(1, 0, 3 * HOUR), limit(2, 60, 4 * HOUR), limit(3, 120, 5 * HOUR)];
    let (replay, rest) = play(&limits);
    assert_eq!((replay.switches(), rest.phase), (2, "exhausted"));
    assert_eq!(outcomes(&replay).last(), Some(&(3, 1, Some(Outcome::Exhausted))));
    assert!(rest.wake_at.is_some_and(|wake| wake >= at(3 * HOUR) && wake <= at(3 * HOUR + 60)), "{rest:?}");
    let (replay, rest) = play(&[&limits[..], &[bare(4, 4 * HOUR - 600)]].concat());
    // The record goes on: the first reset has come, and it was moved back.
    assert_eq!((replay.switches(), rest.subscription, rest.phase), (3, Some("a".into()), "exhausted"));
}

#[test]
fn what_moves_nobody_is_told_as_that() {
    let near = limit(1, 0, 60);
    let overload = said(
        2,
        1,
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"result":"API Error: 529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"}"#,
    );
    let mut hearsay = limit(3, 2, 3 * HOUR);
    hearsay.verdict.is_hearsay = true;
    let (replay, rest) = play(&[near, overload, hearsay]);
    assert_eq!((replay.switches(), replay.restarts(), rest.subscription), (0, 0, Some("a".into())));
    assert_eq!(outcomes(&replay), [(1, 1, Some(Outcome::Waiting)), (2, 1, Some(Outcome::Ignored)), (3, 1, None)]);
}

#[test]
fn a_policy_that_only_observes_does_so_here_too() {
    let mut setting = setting();
    setting.policy.switching = false;
    let mut replay = Replay::new(setting, START);
    replay.tell(&limit(1, 0, 3 * HOUR));
    assert_eq!((replay.finish().subscription, replay.restarts()), (Some("a".into()), 0));
    assert_eq!(outcomes(&replay), [(1, 1, Some(Outcome::Recorded))]);
}

#[test]
fn without_a_restart_none_is_counted() {
    let mut setting = setting();
    if let Some(file) = &mut setting.policy.file {
        file.apply = crate::domain::Apply::Written;
    }
    let mut replay = Replay::new(setting, START);
    replay.tell(&limit(1, 0, 3 * HOUR));
    replay.finish();
    assert_eq!((replay.switches(), replay.restarts()), (1, 0));
}

#[test]
fn a_record_of_years_is_replayed_at_once() {
    let mut told: Vec<_> = (0..1_000).map(|line| bare(line, i64::try_from(line).unwrap() * 86_400)).collect();
    told.push(bare(1_000, 5));
    let (replay, _) = play(&told);
    assert!(replay.switches() > 100 && replay.switches() == replay.restarts(), "{}", replay.switches());
}
