//! Durations as people write them: `90s`, `5h30m`, `7d12h`.

use std::fmt::Write as _;
use std::time::Duration;

/// Units from long to short, with their length in milliseconds.
const UNITS: &[(&str, u64)] =
    &[("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration.
///
/// # Errors
/// What is wrong with it, in words that follow its name.
pub fn parse(text: &str) -> Result<Duration, String> {
    const FORM: &str = "is not a duration such as \"90s\", \"2h\" or \"5h30m\"";
    if text.starts_with('-') {
        return Err("is negative".to_owned());
    }
    if text.is_empty() || !text.is_ascii() {
        return Err(FORM.to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("has no unit: write \"{text}s\" for seconds, or m, h, d, w, ms"));
    }
    let mut total: u64 = 0;
    let mut longest = usize::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit()).ok_or_else(|| FORM.to_owned())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|char: char| char.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err(FORM.to_owned());
        }
        let Some(rank) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(format!("has the unknown unit \"{unit}\": one of w, d, h, m, s, ms"));
        };
        // From long to short, each unit once: "30m5h" is more likely a slip than meant.
        if longest != usize::MAX && rank <= longest {
            return Err(FORM.to_owned());
        }
        longest = rank;
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[rank].1));
        total = millis.and_then(|millis| total.checked_add(millis)).ok_or_else(|| "is too long".to_owned())?;
        rest = tail;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration in the same form; reads back as itself.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in &UNITS[1..] {
        if rest >= *length {
            let _ = write!(text, "{}{unit}", rest / length);
            rest %= length;
        }
    }
    text
}

/// The wait before the next try after so many that failed: doubles from the first wait to the longest.
#[must_use]
pub fn backoff(failures: u32, (first, longest): (Duration, Duration)) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

/// Spreads what would happen at the same moment: something from nothing to `most`, always the same for the same name and
/// number.
#[must_use]
pub fn spread(name: &str, number: u64, most: Duration) -> Duration {
    // FNV-1a: cheap, stable between versions, and good enough to spread names.
    let seed = name.bytes().chain(number.to_le_bytes());
    let hash =
        seed.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX - 1);
    Duration::from_millis((hash >> 16) % most.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_the_docs_are_read() {
        let cases = [
            ("90s", 90),
            ("2h", 7_200),
            ("8d", 691_200),
            ("5h30m", 19_800),
            ("7d12h", 648_000),
            ("0s", 0),
            ("1w", 604_800),
            ("1m1s", 61),
        ];
        for (text, secs) in cases {
            assert_eq!(parse(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_duration_is_told_apart() {
        assert_eq!(parse("-5s"), Err("is negative".to_owned()));
        assert!(parse("90").unwrap_err().contains("\"90s\""));
        assert!(parse("5 h").unwrap_err().contains("unknown unit"));
        assert!(parse("5hours").unwrap_err().contains("\"hours\""));
        assert!(parse("99999999999999999999s").unwrap_err().contains("too long"));
        for text in ["", "h", "30m5h", "1h1h", "1h30", "½h", "1.5h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_spread_is_always_the_same_and_not_all_at_once() {
        let most = Duration::from_secs(90);
        let all: Vec<Duration> = (0..100).map(|number| spread("max-a", number, most)).collect();
        assert_eq!(all, (0..100).map(|number| spread("max-a", number, most)).collect::<Vec<_>>());
        assert!(all.iter().all(|one| *one <= most));
        let late = all.iter().filter(|one| **one > most / 2).count();
        assert!((30..=70).contains(&late), "{late}");
        assert_ne!(spread("max-a", 1, most), spread("max-b", 1, most));
        assert_eq!(spread("max-a", 1, Duration::ZERO), Duration::ZERO);
        assert!(spread("max-a", 1, Duration::MAX) <= Duration::MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in 0..=u64::from(u32::MAX) * 1_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
