//! How long a server that cannot be reached is left alone. Pure.

/// After the first failure, in milliseconds.
const FIRST_MS: i64 = 2_000;

/// The longest, in milliseconds: a server may be away for weeks, and comes back by itself when it speaks to us.
pub(super) const LAST_MS: i64 = 24 * 60 * 60 * 1_000;

/// The shortest time between two tries of a server that speaks to us and still cannot be reached, in milliseconds.
pub(super) const HEARD_MS: i64 = 2_000;

/// The pause after so many failures in a row, in milliseconds: each is twice the one before, and up to a quarter
/// longer by `chance`, so that servers that went away together are not asked together.
pub(super) fn pause_ms(failures: u32, chance: u8) -> i64 {
    let doubled = failures.saturating_sub(1).min(20);
    let pause_ms = (FIRST_MS << doubled).min(LAST_MS);
    pause_ms + pause_ms / 4 * i64::from(chance) / i64::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_day_and_some() {
        let failures = [1, 2, 3, 10, 17, 1_000];
        assert_eq!(
            failures.map(|failures| pause_ms(failures, 0)),
            [2_000, 4_000, 8_000, 1_024_000, 86_400_000, 86_400_000]
        );
        assert_eq!(
            failures.map(|failures| pause_ms(failures, u8::MAX)),
            [2_500, 5_000, 10_000, 1_280_000, 108_000_000, 108_000_000]
        );
    }
}
