//! How long the answer to a well-known request is kept. Pure.
//!
//! Source: server-server API, "Resolving server names", step 3: as the headers say, else for a day, never for
//! more than two; errors for an hour at most, with back-off.

use super::well_known::{Delegation, WellKnownError};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Where the headers say nothing.
const DEFAULT_MS: i64 = 24 * HOUR_MS;

/// The longest, whatever the headers say.
const MAX_MS: i64 = 48 * HOUR_MS;

/// The shortest, whatever the headers say: a conversation should not ask before each sentence.
const MIN_MS: i64 = 5 * MINUTE_MS;

/// After the first error; doubled with each one that follows.
const ERROR_MS: i64 = MINUTE_MS;

/// The longest after an error.
const ERROR_MAX_MS: i64 = HOUR_MS;

/// For how long the last good answer stands in, while the host has trouble.
const STAND_IN_MS: i64 = 48 * HOUR_MS;

/// What is known of a host's well-known file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    answer: Result<String, String>,
    fresh_until_ms: i64,
    /// Errors in a row.
    errors: u32,
    /// Until when the answer, if it is a good one, may stand in for those that fail.
    stands_in_until_ms: i64,
}

impl Known {
    /// What is known after a request that ended at `now_ms`.
    pub(super) fn after(
        before: Option<&Self>,
        fetched: Result<Delegation, WellKnownError>,
        now_ms: i64,
    ) -> Self {
        let error = match fetched {
            Ok(delegation) => {
                let kept = delegation.max_age_ms.unwrap_or(DEFAULT_MS);
                return Self {
                    answer: Ok(delegation.server),
                    fresh_until_ms: now_ms.saturating_add(kept.clamp(MIN_MS, MAX_MS)),
                    errors: 0,
                    stands_in_until_ms: now_ms.saturating_add(STAND_IN_MS),
                };
            }
            Err(error) => error,
        };
        let errors = before.map_or(0, |before| before.errors).saturating_add(1);
        let pause = ERROR_MS << (errors - 1).min(6);
        let fresh_until_ms = now_ms.saturating_add(pause.min(ERROR_MAX_MS));
        let stand_in = before.filter(|before| {
            error.is_transient() && before.answer.is_ok() && now_ms < before.stands_in_until_ms
        });
        match stand_in {
            Some(good) => Self {
                fresh_until_ms,
                errors,
                ..good.clone()
            },
            None => Self {
                answer: Err(error.to_string()),
                fresh_until_ms,
                errors,
                stands_in_until_ms: 0,
            },
        }
    }

    /// Whether nothing needs to be asked yet.
    pub(super) fn is_fresh(&self, now_ms: i64) -> bool {
        now_ms < self.fresh_until_ms
    }

    /// The server that the file names, or why there is none.
    pub(super) fn answer(&self) -> Result<String, String> {
        self.answer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(max_age_ms: Option<i64>) -> Result<Delegation, WellKnownError> {
        let server = "d.example".to_owned();
        Ok(Delegation { server, max_age_ms })
    }

    #[test]
    fn a_good_answer_is_kept_as_its_headers_say_within_bounds() {
        for (max_age, kept) in [
            (None, 24 * HOUR_MS),
            (Some(HOUR_MS), HOUR_MS),
            (Some(1_000 * HOUR_MS), 48 * HOUR_MS),
            (Some(0), 5 * MINUTE_MS),
        ] {
            let known = Known::after(None, found(max_age), 7);
            assert!(
                known.is_fresh(6 + kept) && !known.is_fresh(7 + kept),
                "{max_age:?}"
            );
            assert_eq!(known.answer(), Ok("d.example".to_owned()));
        }
    }

    #[test]
    fn errors_are_kept_for_longer_and_longer_up_to_an_hour() {
        let mut known = None;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let after = Known::after(known.as_ref(), Err(WellKnownError::Status(404)), 0);
            pauses.push(after.fresh_until_ms / MINUTE_MS);
            known = Some(after);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let recovered = Known::after(known.as_ref(), found(None), 0);
        let again = Known::after(Some(&recovered), Err(WellKnownError::Status(500)), 0);
        assert_eq!(again.fresh_until_ms, MINUTE_MS, "starts over");
    }

    #[test]
    fn the_last_good_answer_stands_in_while_the_host_has_trouble() {
        let good = Known::after(None, found(None), 0);
        let trouble = Known::after(Some(&good), Err(WellKnownError::Status(502)), HOUR_MS);
        assert!(trouble.answer().is_ok());
        let more = Known::after(
            Some(&trouble),
            Err(WellKnownError::Status(502)),
            48 * HOUR_MS,
        );
        assert!(more.answer().is_err(), "not for ever");
        let gone = Known::after(Some(&good), Err(WellKnownError::Status(404)), HOUR_MS);
        assert!(gone.answer().is_err(), "it says itself that there is none");
    }
}
