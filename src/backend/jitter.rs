//! Random pauses between tries.

use std::time::Duration;

use super::after::part;

/// A part of `longest`, from nothing to all of it, as 128 random bits decide. All bits take part, so that a source that
/// merely counts does not always pause for nothing.
pub(crate) fn jitter(longest: Duration, random: [u8; 16]) -> Duration {
    let mixed = random.iter().fold(0_u8, |mixed, byte| mixed.rotate_left(3) ^ byte);
    part(longest.saturating_mul(u32::from(mixed)), 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_spread_from_nothing_to_the_longest() {
        let longest = Duration::from_millis(255);
        let last = |byte| {
            let mut random = [0; 16];
            random[15] = byte;
            jitter(longest, random)
        };
        assert_eq!(last(0), Duration::ZERO);
        assert_eq!(last(255), longest);
        assert!((0..=255).all(|byte| last(byte) <= longest));
        assert_ne!(jitter(longest, 1_u128.to_be_bytes()), jitter(longest, 2_u128.to_be_bytes()));
    }
}
