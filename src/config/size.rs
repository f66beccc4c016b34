//! Sizes as people write them: `1GiB`, `512MiB`.

const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a size in bytes; the error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("is not a size such as \"1GiB\" or \"512MiB\"".to_owned());
    }
    if unit.is_empty() {
        return Err(format!("has no unit: write \"{text}B\" for bytes, or KiB, MiB, GiB"));
    }
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("has the unknown unit \"{unit}\": one of B, KiB, MiB, GiB, TiB"));
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes)).ok_or_else(|| "is too large".to_owned())
}

/// Writes a size in the largest unit that keeps it exact.
pub(super) fn format(bytes: u64) -> String {
    let unit = UNITS[..4].iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    unit.map_or_else(|| format!("{bytes}B"), |(name, size)| format!("{}{name}", bytes / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("1GiB", 1 << 30), ("512MiB", 512 << 20), ("3B", 3), ("1KiB", 1024)] {
            assert_eq!(parse(text), Ok(bytes));
            assert_eq!(format(bytes), text);
        }
        assert_eq!(parse("2GB"), Ok(2_000_000_000));
    }

    #[test]
    fn what_is_no_size_is_told_apart() {
        assert!(parse("1024").unwrap_err().contains("no unit"));
        assert!(parse("1gib").unwrap_err().contains("unknown unit"));
        assert!(parse("-1GiB").unwrap_err().contains("not a size"));
        assert!(parse("99999999999GiB").unwrap_err().contains("too large"));
        assert!(parse("").is_err());
    }
}
