//! How long a server that cannot be reached is left alone. Pure.

/// After the first failure, in milliseconds.
const FIRST_MS: i64 = 2_000;

/// The longest, in milliseconds: a server may be away for weeks, and comes back by itself when it speaks to us.
const LAST_MS: i64 = 24 * 60 * 60 * 1_000;

/// The pause after so many failures in a row; each is twice the one before.
pub(super) fn pause_ms(failures: u32) -> i64 {
    let doubled = failures.saturating_sub(1).min(20);
    (FIRST_MS << doubled).min(LAST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_day() {
        let pauses: Vec<i64> = [1, 2, 3, 10, 17, 1_000].map(pause_ms).to_vec();
        assert_eq!(
            pauses,
            [2_000, 4_000, 8_000, 1_024_000, 86_400_000, 86_400_000]
        );
    }
}
