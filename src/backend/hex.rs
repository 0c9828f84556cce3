//! Bytes as text for logs and columns.

use sha2::{Digest, Sha256};

/// Lower-case hex digits, two a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// A record in errors and logs: its type, and 8 hex digits of the SHA-256 of its key. Keys can be personal data. A backend names so what it
/// can't read: `StoreError::corrupt(record_name(record_type, key), "number is missing")`.
///
/// Types are short identifiers. Any other text as a type was written by someone else, and is left out.
pub fn record_name(record_type: &str, key: &str) -> String {
    let digest = hex(&Sha256::digest(key.as_bytes())[..4]);
    let identifier = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if (1..=40).contains(&record_type.len()) && record_type.bytes().all(identifier) {
        format!("{record_type} record #{digest}")
    } else {
        format!("record #{digest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }

    #[test]
    fn a_text_that_is_no_type_is_not_shown() {
        assert_eq!(record_name("time-entry.v2", "k"), "time-entry.v2 record #8254c329");
        for text in ["", "Ann's secret", &"x".repeat(41)] {
            assert_eq!(record_name(text, "k"), "record #8254c329");
        }
    }
}
