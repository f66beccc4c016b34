//! What holds of every sentence, at every time, in every zone.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Rome",
    "Europe/London",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Africa/Cairo",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/St_Johns",
    "America/Havana",
    "Asia/Calcutta",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Beirut",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Marquesas",
    "Antarctica/Troll",
    "Etc/GMT+5",
    "Etc/GMT-14",
    "America/Cordoba",
    "US/Pacific",
    "Japan",
    "America/Scoresbysund",
];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Some time between 2024 and 2035.
fn event() -> impl Strategy<Value = Wall> {
    (1_704_067_200_000_i64..2_051_222_400_000).prop_map(Wall)
}

fn window() -> impl Strategy<Value = Window> {
    prop::sample::select(Window::ALL)
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ZONES)
}

fn context(at: Wall, zone: &str) -> Context {
    Context { tool: None, at, zone: Zone::named(zone).unwrap() }
}

/// Pieces of which sentences about resets are made, and what stands near them.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&[
            "resets",
            "try again",
            "retry",
            "wait",
            "until",
            "|",
            "at",
            "in",
            "on",
            "(",
            ")",
            ",",
            ".",
            ":",
            "-",
            "/",
            "+",
            "am",
            "pm",
            "p.m.",
            "hours",
            "h",
            "minutes",
            "m",
            "s",
            "ms",
            "days",
            "Oct",
            "Feb",
            "de",
            "jul.",
            "UTC",
            "PST",
            "Asia/Tokyo",
            "Europe/Barcelona",
            "Sunday",
            "tomorrow",
            "noon",
            "重置",
            "年",
            "月",
            "日",
            "下午",
            "after",
            "seconds",
            "\n",
            "\\n",
            "\u{1b}[1m",
            "th",
            "T",
            "Z",
            "…",
            "_",
            "\"",
        ])
        .prop_map(str::to_owned),
        (0_u64..70).prop_map(|number| number.to_string()),
        (2024_u64..2036).prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        (1_700_000_000_u64..2_060_000_000).prop_map(|number| number.to_string()),
        "\\PC{0,3}",
    ]
}

fn sentence() -> impl Strategy<Value = String> {
    prop::collection::vec((piece(), prop::bool::weighted(0.6)), 0..16).prop_map(|pieces| {
        pieces.iter().flat_map(|(piece, has_blank)| [piece.as_str(), if *has_blank { " " } else { "" }]).collect()
    })
}

/// What a clock in a zone shows at an instant.
fn shown(at: Wall, zone: &TimeZone) -> DateTime {
    zone.to_datetime(Timestamp::from_millisecond(at.0).unwrap())
}

fn twelve(time: Time) -> String {
    let (hour, half) = match time.hour() {
        0 => (12, "am"),
        hour @ 1..=11 => (hour, "am"),
        12 => (12, "pm"),
        hour => (hour - 12, "pm"),
    };
    format!("{hour}:{:02}{half}", time.minute())
}

proptest! {
    #[test]
    fn no_text_panics_or_leads_out_of_the_bounds(
        text in prop_oneof![sentence(), sentence().prop_map(|text| format!("resets {text}")), "\\PC{0,60}", "(?s).{0,60}"],
        at in event(),
        zone in zone(),
        window in window(),
    ) {
        let context = context(at, zone);
        if let Some(reset) = in_words(&text, window, &context) {
            prop_assert!(reset.at >= at.minus(TOLERANCE), "{text}: {reset:?}");
            prop_assert!(reset.at <= at.plus(FURTHEST), "{text}: {reset:?}");
            if window == Window::FiveHour {
                prop_assert!(reset.at <= at.plus(FIVE_HOURS), "{text}: {reset:?}");
            }
        }
    }

    #[test]
    fn no_event_is_too_far_off_to_be_read(text in sentence(), at in any::<i64>(), zone in zone(), window in window()) {
        let _ = in_words(&format!("resets {text}"), window, &context(Wall(at), zone));
    }

    #[test]
    fn a_clock_in_a_zone_is_the_next_instant_at_which_one_there_shows_it(
        at in event(),
        zone in zone(),
        hour in 0_i8..=23,
        minute in 0_i8..=59,
    ) {
        let time = Time::new(hour, minute, 0, 0).unwrap();
        let reset = in_words(&format!("resets {} ({zone})", twelve(time)), Window::Unknown, &context(at, "Asia/Tokyo")).unwrap();
        prop_assert!(reset.is_certain);
        let place = Zone::named(zone).unwrap();
        let there = shown(reset.at, place.time_zone());
        let before = shown(reset.at.minus(Duration::from_millis(1)), place.time_zone());
        // It shows that time, or has just jumped over it.
        let is_shown = there.time() == time;
        let is_jumped = before.time() < time && time < there.time() || before.date() != there.date() && time < there.time();
        prop_assert!(is_shown || is_jumped, "{} for {time} in {zone}", there);
        // Nothing is nearer: a day in which the clock is set back by an hour and the tolerance is the furthest.
        prop_assert!(reset.at.since(at) <= Duration::from_secs(25 * 3_600), "{}", there);
        prop_assert!(reset.at >= at.minus(TOLERANCE));
    }

    #[test]
    fn a_date_without_a_year_within_forty_days_is_read_back(at in event(), minutes in 1_i64..57_000, zone in zone()) {
        let place = Zone::named(zone).unwrap();
        let meant = shown(Wall((at.0 / 60_000 + minutes) * 60_000), place.time_zone());
        let month = MONTHS[usize::try_from(meant.month()).unwrap() - 1];
        let text = format!("resets {month} {}, {} ({zone})", meant.day(), twelve(meant.time()));
        let reset = in_words(&text, Window::Weekly, &context(at, "UTC")).unwrap();
        let read = shown(reset.at, place.time_zone());
        prop_assert_eq!((read.date(), read.hour(), read.minute()), (meant.date(), meant.hour(), meant.minute()));
        prop_assert!(reset.is_certain);
    }

    #[test]
    fn every_change_of_every_zones_clocks_leads_to_one_valid_instant(zone in zone(), year in 2024_i16..2036, at_change in 0_usize..4, minutes in -90_i64..90) {
        let place = Zone::named(zone).unwrap();
        let begin = jiff::civil::date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let Some(change) = place.time_zone().following(begin).nth(at_change) else { return Ok(()) };
        let change = Wall(change.timestamp().as_millisecond());
        // What a clock shows that was not set.
        let old = shown(change.minus(Duration::from_millis(1)), place.time_zone());
        let Ok(unset) = old.checked_add(jiff::SignedDuration::from_mins(minutes)) else { return Ok(()) };
        let month = MONTHS[usize::try_from(unset.month()).unwrap() - 1];
        let text = format!("resets {month} {} at {} ({zone})", unset.day(), twelve(unset.time()));
        let context = context(change.minus(Duration::from_secs(6 * 3_600)), "UTC");
        let reset = in_words(&text, Window::Unknown, &context).unwrap();
        let there = shown(reset.at, place.time_zone());
        let said = unset.date().to_datetime(Time::new(unset.hour(), unset.minute(), 0, 0).unwrap());
        if there == said {
            // The later one of two: an hour (at most three) later no clock shows it again.
            for later in [30, 60, 120, 180] {
                prop_assert!(shown(reset.at.plus(Duration::from_secs(later * 60)), place.time_zone()) != said);
            }
        } else {
            prop_assert_eq!(reset.at, change);
            prop_assert!(shown(change.minus(Duration::from_millis(1)), place.time_zone()) < said && said < there);
        }
    }

    #[test]
    fn a_zone_that_nobody_knows_is_never_certain(at in event(), hour in 1_u8..=12, here in zone(), name in "[A-Z][a-z]{3,8}") {
        let name = format!("{name}/X{}", name.to_lowercase());
        let text = format!("resets {hour}pm ({name})");
        let reset = in_words(&text, Window::Unknown, &context(at, here)).unwrap();
        let plain = in_words(&format!("resets {hour}pm"), Window::Unknown, &context(at, here)).unwrap();
        prop_assert!(!reset.is_certain);
        prop_assert_eq!(reset, plain);
    }

    #[test]
    fn a_duration_is_read_back_in_words_and_in_short(at in event(), seconds in 1_u64..3_400_000) {
        let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let context = context(at, "UTC");
        for text in [
            format!("try again in {days} days {hours} hours {minutes} minutes {rest} seconds."),
            format!("resets in {days}d{hours}h{minutes}m{rest}s"),
            format!("resets in {days}d {hours}h {minutes}m {rest}s"),
            format!("Retrying in {seconds} seconds…"),
            format!("Retry-After: {seconds}"),
        ] {
            let reset = in_words(&text, Window::Unknown, &context);
            prop_assert_eq!(reset, Some(Reset { at: at.plus(Duration::from_secs(seconds)), is_certain: true }), "{}", text);
        }
    }
}
