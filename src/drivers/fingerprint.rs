//! What identifies the content of a credential without revealing it.
//!
//! One function for everybody: the credential that was read and the file that was delivered must be
//! comparable, so both ends of the comparison are computed here.
//!
//! Tests: below.

use sha2::{Digest, Sha256};

use crate::domain::Fingerprint;

/// The fingerprint of a credential: the first 16 hex digits of the SHA-256 of the content without its final
/// newline, for editors add one and secret stores do not.
#[must_use]
pub fn fingerprint(content: &[u8]) -> Fingerprint {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(without_final_newline(content));
    let digits = digest.iter().take(8).flat_map(|byte| [byte >> 4, byte & 0xf]);
    Fingerprint(digits.map(|digit| char::from(HEX[usize::from(digit)])).collect())
}

/// The content without one final newline, written either way.
#[must_use]
pub fn without_final_newline(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_newline_does_not_count_and_everything_else_does() {
        assert_eq!(fingerprint(b"abc").0, "ba7816bf8f01cfea");
        assert_eq!(fingerprint(b"abc\n"), fingerprint(b"abc"));
        assert_eq!(fingerprint(b"abc\r\n"), fingerprint(b"abc"));
        assert_ne!(fingerprint(b"abc\n\n"), fingerprint(b"abc"));
        assert_ne!(fingerprint(b" abc"), fingerprint(b"abc"));
    }
}
