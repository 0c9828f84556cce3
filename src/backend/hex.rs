//! Bytes as text for logs and columns.

use sha2::{Digest, Sha256};

/// Lower-case hex digits, two a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// A record in errors and logs: its type, and 8 hex digits of the SHA-256 of its key. Keys can be personal data.
pub(crate) fn record_name(record_type: &str, key: &str) -> String {
    format!("{record_type} record #{}", hex(&Sha256::digest(key.as_bytes())[..4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }
}
