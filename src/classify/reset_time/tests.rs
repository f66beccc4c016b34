//! Sentences, and the exact instants that they mean.

use super::*;

/// A sentence, and the instant that it means; a `?` before it: something had to be guessed.
type Row = (&'static str, &'static str);

fn wall(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn said(at: &str, zone: &str) -> Context {
    Context { tool: None, at: wall(at), zone: Zone::named(zone).unwrap() }
}

fn shown(reset: Option<Reset>) -> String {
    reset.map_or("-".to_owned(), |reset| {
        let guess = if reset.is_certain { "" } else { "?" };
        format!("{guess}{}", Timestamp::from_millisecond(reset.at.0).unwrap())
    })
}

fn holds(window: Window, context: &Context, rows: &[Row]) {
    for (text, expected) in rows {
        assert_eq!(shown(in_words(text, window, context)), *expected, "{text:?}");
    }
}

#[test]
fn durations_count_from_the_event() {
    holds(
        Window::Unknown,
        &said("2026-06-01T12:00:00Z", "Asia/Tokyo"),
        &[
            ("try again in 3 days 4 hours 9 minutes.", "2026-06-04T16:09:00Z"),
            ("Please try again in 58 hours. Please review our terms", "2026-06-03T22:00:00Z"),
            ("Please wait 2 minutes before trying again", "2026-06-01T12:02:00Z"),
            ("or try again in 8 hours 30 minutes.", "2026-06-01T20:30:00Z"),
            ("try again in 1 day, 3 hours and 5 minutes", "2026-06-02T15:05:00Z"),
            ("try again in an hour", "2026-06-01T13:00:00Z"),
            ("Your quota will reset after 8h44m7s.", "2026-06-01T20:44:07Z"),
            ("resets in 5d 5h", "2026-06-06T17:00:00Z"),
            ("The session limit resets in 3h 20m. Send it again", "2026-06-01T15:20:00Z"),
            ("Resets in 6 hr 26 min", "2026-06-01T18:26:00Z"),
            ("has reset time 137h41m9s", "2026-06-07T05:41:09Z"),
            ("Please try again in 644ms. Contact us", "2026-06-01T12:00:00.644Z"),
            ("try again in 6ms", "2026-06-01T12:00:00.006Z"),
            ("Please retry in 15.002899939s.", "2026-06-01T12:00:15.002Z"),
            ("Please retry in 15.0s", "2026-06-01T12:00:15Z"),
            ("Your quota will reset after 0s.", "2026-06-01T12:00:00Z"),
            ("Retrying in 2892 seconds… (attempt 1/10)", "2026-06-01T12:48:12Z"),
            ("[retrying in 15s attempt #5]", "2026-06-01T12:00:15Z"),
            ("resets in 2:15", "2026-06-01T14:15:00Z"),
            ("resets in 02:15:30", "2026-06-01T14:15:30Z"),
            ("Please try again in 7m12.5s. Need more", "2026-06-01T12:07:12.5Z"),
            ("resets\n│ in less than a minute │", "2026-06-01T12:01:00Z"),
            (r#""quotaResetDelay": "13h19m1.20964964s""#, "2026-06-02T01:19:01.209Z"),
            ("Please retry after 60 seconds", "2026-06-01T12:01:00Z"),
            ("Time until reset: 2h 13m", "2026-06-01T14:13:00Z"),
            ("available again in about 2 weeks", "2026-06-15T12:00:00Z"),
        ],
    );
}

#[test]
fn a_duration_that_was_cut_off_goes_on_with_the_next_smaller_unit() {
    holds(
        Window::Unknown,
        &said("2026-06-01T12:00:00Z", "UTC"),
        &[
            ("try again in 5 days 22 hours 11", "2026-06-07T10:11:00Z"),
            ("try again in 5 days 22 hours 11…", "2026-06-07T10:11:00Z"),
            ("try again in 5 days 22 hours 11\n■ the next line", "2026-06-07T10:11:00Z"),
            ("try again in 5 days 22 hours 11\nminutes.", "2026-06-07T10:11:00Z"),
            ("try again in 5 days 22", "2026-06-07T10:00:00Z"),
            ("try again in 5 days 22 hou", "2026-06-07T10:00:00Z"),
            ("try again in 5 days", "2026-06-06T12:00:00Z"),
            // A number in the midst of a line is of something else.
            ("try again in 5 days 22 requests", "2026-06-06T12:00:00Z"),
            ("try again in 5", "-"),
        ],
    );
}

#[test]
fn a_clock_is_read_in_its_zone() {
    holds(
        Window::Unknown,
        &said("2026-06-01T12:00:00Z", "UTC"),
        &[
            ("resets 3pm (America/New_York)", "2026-06-01T19:00:00Z"),
            ("· resets 8pm (Asia/Tokyo)", "2026-06-02T11:00:00Z"),
            ("resets 11:30pm (Europe/Berlin)", "2026-06-01T21:30:00Z"),
            ("Your limit will reset at 1pm (Etc/GMT+5).", "2026-06-01T18:00:00Z"),
            ("resets 1:30pm (Asia/Calcutta) ·", "2026-06-02T08:00:00Z"),
            ("resets 9am (America/Cordoba)", "2026-06-01T12:00:00Z"),
            ("resets 12am (UTC)", "2026-06-02T00:00:00Z"),
            ("resets 12pm (UTC)", "2026-06-01T12:00:00Z"),
            ("resets 12:30am (UTC)", "2026-06-02T00:30:00Z"),
            ("resets at noon (Europe/Rome)", "2026-06-02T10:00:00Z"),
            ("resets at midnight UTC", "2026-06-02T00:00:00Z"),
            ("resets 3 p.m. (UTC)", "2026-06-01T15:00:00Z"),
            ("resets 14:30 UTC", "2026-06-01T14:30:00Z"),
            ("resets at 16:00:05 UTC+2", "2026-06-01T14:00:05Z"),
            ("resets 8pm\n(Asia/\nTokyo)", "2026-06-02T11:00:00Z"),
            ("resets \u{1b}[1m3pm\u{1b}[0m (UTC)/login to switch", "2026-06-01T15:00:00Z"),
            // `PST` is said of the winter; in summer somebody means another hour.
            ("resets 8am PST", "?2026-06-01T16:00:00Z"),
            ("resets 7pm (Europe/Barcelona)", "?2026-06-01T19:00:00Z"),
            ("resets 8pm (Asia/Tok", "?2026-06-01T20:00:00Z"),
        ],
    );
}

#[test]
fn a_clock_without_a_zone_is_read_where_the_container_is() {
    holds(
        Window::Unknown,
        &said("2026-06-01T12:00:00Z", "Europe/Rome"),
        &[
            ("Limits will reset at 9:30 AM.  View your usage", "?2026-06-02T07:30:00Z"),
            ("try again at 12:16 PM.", "?2026-06-02T10:16:00Z"),
            ("Session limit reached ∙ resets 8pm", "?2026-06-01T18:00:00Z"),
            ("resets 14:30", "?2026-06-01T12:30:00Z"),
            ("resets 7pm (Europe/Barcelona)", "?2026-06-01T17:00:00Z"),
            ("resets 3pm local time", "?2026-06-01T13:00:00Z"),
        ],
    );
}

#[test]
fn a_date_has_the_year_that_comes_next() {
    holds(
        Window::Weekly,
        &said("2026-12-28T20:00:00Z", "America/New_York"),
        &[
            ("resets Jan 2 at 1pm (UTC)", "2027-01-02T13:00:00Z"),
            ("resets Dec 31, 8pm (Europe/Budapest)", "2026-12-31T19:00:00Z"),
            ("resets Feb 4, 8pm", "?2027-02-05T01:00:00Z"),
            ("resets Dec 29, 2026 8:19 PM", "?2026-12-30T01:19:00Z"),
            // More than forty days away, or long past.
            ("resets Feb 29, 8pm (UTC)", "-"),
            ("resets Dec 27, 8pm (UTC)", "-"),
            ("resets Jan 2, 2026, 1pm (UTC)", "-"),
            ("resets Jan 2, 2029, 1pm (UTC)", "-"),
        ],
    );
    holds(
        Window::Weekly,
        &said("2028-02-25T00:00:00Z", "UTC"),
        &[("resets Feb 29, 8pm (UTC)", "2028-02-29T20:00:00Z")],
    );
}

#[test]
fn dates_are_read_in_the_orders_and_languages_of_the_tools() {
    let rows: &[Row] = &[
        ("resets Jul 10 at 1pm (UTC)", "2026-07-10T13:00:00Z"),
        ("try again at Jul 5th, 2026 8:19 PM.", "?2026-07-05T20:19:00Z"),
        ("Your usage limit is reset on July 11, 2026, at 4:18 AM. To continue", "?2026-07-11T04:18:00Z"),
        ("Seu limite de uso será redefinido em 10 de jul. de 2026, 11:52.", "?2026-07-10T11:52:00Z"),
        ("tente novamente em 10 de julho às 11:52", "?2026-07-10T11:52:00Z"),
        ("se restablecerá el 10 de julio de 2026 a las 11:52 p. m.", "?2026-07-10T23:52:00Z"),
        ("sera réinitialisé le 10 juillet 2026 à 14h30", "?2026-07-10T14:30:00Z"),
        ("wird am 10. Juli 2026 um 11:52 Uhr zurückgesetzt", "?2026-07-10T11:52:00Z"),
        ("sarà reimpostato il 10 luglio 2026 alle ore 11:52", "?2026-07-10T11:52:00Z"),
        ("您的限额将在 2026-07-10 07:41:44 重置。", "?2026-07-10T07:41:44Z"),
        ("将于 2026年7月10日 下午3:05 重置", "?2026-07-10T15:05:00Z"),
        ("请在 5 分钟后重试", "2026-07-01T00:05:00Z"),
        ("7月10日 15:00 にリセットされます", "?2026-07-10T15:00:00Z"),
        ("resets on 10.07.2026 11:52", "?2026-07-10T11:52:00Z"),
        ("resets 7/25, 3:00 PM", "?2026-07-25T15:00:00Z"),
        ("resets 25/7 at 3:00 PM", "?2026-07-25T15:00:00Z"),
        ("resets 7/8 at 3:00 PM (UTC)", "?2026-07-08T15:00:00Z"),
        ("resets Sun 11:00 PM", "?2026-07-05T23:00:00Z"),
        ("resets Sunday, July 5 at 11:00 PM (UTC)", "2026-07-05T23:00:00Z"),
        ("resets tomorrow at 3pm (UTC)", "2026-07-02T15:00:00Z"),
        ("resets 8pm (UTC) on Jul 10", "2026-07-10T20:00:00Z"),
        ("(resets 15:27 on 7 Jul)", "?2026-07-07T15:27:00Z"),
        ("limits will reset when your monthly cycle ends on 7/15/2026.", "?2026-07-15T00:00:00Z"),
        ("Access resets at 11:42 AM GMT+1.", "2026-07-01T10:42:00Z"),
        ("resets at midnight Pacific time", "?2026-07-01T07:00:00Z"),
        ("You can use it again on the 10th of July at 1pm", "?2026-07-10T13:00:00Z"),
        ("resets 3pm tomorrow", "?2026-07-02T15:00:00Z"),
        ("resets 2026-07-10T07:41:44Z", "2026-07-10T07:41:44Z"),
        ("resets at 2026-07-10T07:41:44.123+08:00", "2026-07-09T23:41:44Z"),
        ("resets at 2026-07-10 07:41:44 -0500", "2026-07-10T12:41:44Z"),
        ("resets at 2026-07-10 07:41 (Asia/Shanghai)", "2026-07-09T23:41:00Z"),
        ("Retry-After: Fri, 10 Jul 2026 12:05:00 GMT", "2026-07-10T12:05:00Z"),
    ];
    holds(Window::Weekly, &said("2026-07-01T00:00:00Z", "UTC"), rows);
}

#[test]
fn a_date_without_a_clock_is_the_beginning_of_that_day_and_of_today_its_end() {
    holds(
        Window::Weekly,
        &said("2026-10-20T10:00:00Z", "Europe/Rome"),
        &[
            ("Opus weekly limit reached ∙ resets Oct 24", "?2026-10-23T22:00:00Z"),
            ("resets Oct 24 (UTC)", "?2026-10-24T00:00:00Z"),
            ("resets Oct 20", "?2026-10-20T22:00:00Z"),
            ("resets tomorrow", "?2026-10-20T22:00:00Z"),
            ("resets Friday", "?2026-10-22T22:00:00Z"),
            ("resets Oct 19", "-"),
        ],
    );
}

#[test]
fn an_epoch_and_a_number_of_a_named_unit_need_their_cue() {
    holds(
        Window::Unknown,
        &said("2025-08-22T00:00:00Z", "UTC"),
        &[
            ("|1755849600", "2025-08-22T08:00:00Z"),
            ("Claude AI usage limit reached|1755849600", "2025-08-22T08:00:00Z"),
            ("resets at 1755849600000", "2025-08-22T08:00:00Z"),
            ("x-codex-primary-reset-at: 1755849600", "2025-08-22T08:00:00Z"),
            ("x-codex-primary-reset-after-seconds: 28800", "2025-08-22T08:00:00Z"),
            ("\"reset_seconds\":28800,\"reset_time\":\"8h0m0s\"", "2025-08-22T08:00:00Z"),
            ("Retry-After: 28800", "2025-08-22T08:00:00Z"),
            (r#"{\"retry_after_ms\": 6173}"#, "2025-08-22T00:00:06.173Z"),
            (r#"\"retryDelay\": \"15.002899939s\""#, "2025-08-22T00:00:15.002Z"),
            ("request 1755849600 failed", "-"),
            ("resets soon 28800", "-"),
            ("Retry 1/10", "-"),
            ("connection reset (attempt 3/10)", "-"),
            ("Limit 30000, used 14567, requested 24754", "-"),
            ("Please try again later. 3pm", "-"),
            ("resets 5", "-"),
            ("resets", "-"),
            ("", "-"),
        ],
    );
}

#[test]
fn the_limits_own_word_counts_before_what_the_tool_does_meanwhile() {
    holds(
        Window::Unknown,
        &said("2026-06-01T12:00:00Z", "UTC"),
        &[
            ("Your quota will reset after 5s.. Retrying after 6173ms...", "2026-06-01T12:00:05Z"),
            ("Retrying in 6s · resets 3pm (UTC)", "2026-06-01T15:00:00Z"),
            ("Please try again later. · Retrying in 2892 seconds…", "2026-06-01T12:48:12Z"),
            ("已达到 5小时的使用上限。您的限额将在 2026-06-01 15:41:44 重置。", "?2026-06-01T15:41:44Z"),
        ],
    );
}

#[test]
fn just_past_the_window_has_begun_anew_and_longer_past_it_is_tomorrow() {
    holds(Window::Unknown, &said("2026-06-01T12:04:59Z", "UTC"), &[("resets 12pm (UTC)", "2026-06-01T12:00:00Z")]);
    holds(Window::Unknown, &said("2026-06-01T12:05:01Z", "UTC"), &[("resets 12pm (UTC)", "2026-06-02T12:00:00Z")]);
    // Across midnight.
    holds(
        Window::Unknown,
        &said("2026-06-02T00:01:00Z", "UTC"),
        &[("resets 11:59pm (UTC)", "2026-06-01T23:59:00Z"), ("resets Jun 1, 11:59pm (UTC)", "2026-06-01T23:59:00Z")],
    );
    holds(
        Window::Unknown,
        &said("2027-01-01T00:01:00Z", "UTC"),
        &[("resets Dec 31, 11:59pm (UTC)", "2026-12-31T23:59:00Z")],
    );
}

#[test]
fn an_hour_that_is_skipped_is_the_first_instant_behind_it() {
    let rows: &[Row] = &[
        ("resets 2:30am (America/New_York)", "2026-03-08T07:00:00Z"),
        ("resets Mar 8 at 2am (America/New_York)", "2026-03-08T07:00:00Z"),
        ("resets 3am (America/New_York)", "2026-03-08T07:00:00Z"),
    ];
    holds(Window::Unknown, &said("2026-03-08T05:00:00Z", "UTC"), rows);
    // The gap of half an hour.
    let lord_howe = ("resets Oct 4, 2:10am (Australia/Lord_Howe)", "2026-10-03T15:30:00Z");
    holds(Window::Unknown, &said("2026-10-03T12:00:00Z", "UTC"), &[lord_howe]);
    // A whole day.
    let samoa = ("resets Dec 30, 2011 at 3pm (Pacific/Apia)", "2011-12-30T10:00:00Z");
    holds(Window::Unknown, &said("2011-12-29T12:00:00Z", "UTC"), &[samoa]);
}

#[test]
fn an_hour_that_comes_twice_is_the_later_one() {
    let rows: &[Row] = &[
        ("resets 1:30am (America/New_York)", "2026-11-01T06:30:00Z"),
        ("resets Nov 1 at 1:30am (America/New_York)", "2026-11-01T06:30:00Z"),
    ];
    holds(Window::Unknown, &said("2026-11-01T04:00:00Z", "UTC"), rows);
    let between = said("2026-11-01T05:45:00Z", "UTC");
    holds(Window::Unknown, &between, &[("resets 1:30am (America/New_York)", "2026-11-01T06:30:00Z")]);
}

#[test]
fn a_window_of_five_hours_ends_within_them() {
    let context = said("2026-06-01T12:00:00Z", "UTC");
    holds(
        Window::FiveHour,
        &context,
        &[
            ("resets 5pm (UTC)", "2026-06-01T17:00:00Z"),
            // Two clocks that differ by a little.
            ("resets 5:04pm (UTC)", "2026-06-01T17:00:00Z"),
            ("resets 5:06pm (UTC)", "?2026-06-01T17:00:00Z"),
            // It was nine an hour ago where somebody else is.
            ("resets 11am", "?2026-06-01T17:00:00Z"),
            // The day is wrong, the clock is not.
            ("resets Jun 2, 3pm (UTC)", "?2026-06-01T15:00:00Z"),
            ("resets May 31, 3pm (UTC)", "?2026-06-01T15:00:00Z"),
            ("resets Jun 3, 3pm (UTC)", "?2026-06-01T17:00:00Z"),
            ("try again in 8 hours 30 minutes", "?2026-06-01T17:00:00Z"),
            ("try again in 5 hours", "2026-06-01T17:00:00Z"),
            ("|1780358400", "?2026-06-01T17:00:00Z"),
            ("resets in 41 days", "-"),
        ],
    );
    holds(Window::Weekly, &context, &[("resets 11am (UTC)", "2026-06-02T11:00:00Z")]);
}

#[test]
fn what_stands_behind_the_beginning_of_a_long_text_is_not_read() {
    let context = said("2026-06-01T12:00:00Z", "UTC");
    let far = format!("{} resets 3pm (UTC)", "x ".repeat(2_000));
    assert_eq!(in_words(&far, Window::Unknown, &context), None);
    let near = format!("resets 3pm (UTC) {}", "x ".repeat(2_000));
    assert_eq!(shown(in_words(&near, Window::Unknown, &context)), "2026-06-01T15:00:00Z");
    for blanks in 2_020..2_048 {
        let cut = format!("{}resets in 58 hours", " ".repeat(blanks));
        let read = shown(in_words(&cut, Window::Unknown, &context));
        assert!(["-", "2026-06-03T22:00:00Z"].contains(&read.as_str()), "{blanks}: {read}");
    }
}
