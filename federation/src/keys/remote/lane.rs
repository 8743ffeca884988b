//! How often somebody is asked for the keys of a server. Pure.

use std::collections::BTreeSet;

use super::Need;

/// The shortest time between two questions to the same server, in milliseconds.
const PAUSE_MS: i64 = 5_000;

/// The longest, after failures, when old events need its keys.
const PAUSE_MAX_MS: i64 = 10 * 60 * 1_000;

/// How many keys of one server are remembered that a notary could not tell. Where it was more, all keys of that server have
/// to wait: whoever makes them up has enough of them.
const MISSED_MAX: usize = 8;

/// How asking went so far.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// When it was asked last, in milliseconds since the epoch.
    asked_ms: i64,
    /// Failures in a row.
    failures: u32,
    /// The keys that were asked for and not told.
    missed: BTreeSet<String>,
}

impl Lane {
    /// Whether the server may be asked for its keys.
    pub(super) fn is_free(&self, need: Need, now_ms: i64) -> bool {
        now_ms >= self.asked_ms.saturating_add(self.pause_ms(need))
    }

    /// Whether a notary may be asked for this key.
    pub(super) fn is_free_for(&self, key_id: &str, now_ms: i64) -> bool {
        let is_new = self.missed.len() < MISSED_MAX && !self.missed.contains(key_id);
        is_new || self.is_free(Need::Events, now_ms)
    }

    /// It is asked now. That counts as a failure until there is an answer, and so where nobody waits for that any more.
    pub(super) fn begins<'a>(&mut self, key_ids: impl IntoIterator<Item = &'a str>, now_ms: i64) {
        self.asked_ms = now_ms;
        self.failures = self.failures.saturating_add(1);
        for key_id in key_ids {
            if self.missed.len() < MISSED_MAX {
                self.missed.insert(key_id.to_owned());
            }
        }
    }

    /// It was told what it was asked.
    pub(super) fn succeeded(&mut self, now_ms: i64) {
        self.asked_ms = now_ms;
        self.failures = 0;
    }

    /// A notary has told this key.
    pub(super) fn told(&mut self, key_id: &str) {
        self.missed.remove(key_id);
        if self.missed.is_empty() {
            self.failures = 0;
        }
    }

    /// How long to leave the server in peace after the last question.
    fn pause_ms(&self, need: Need) -> i64 {
        match need {
            Need::Request => PAUSE_MS,
            Need::Events | Need::Others => (PAUSE_MS << self.failures.min(8)).min(PAUSE_MAX_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_less_and_less_often() {
        let mut lane = Lane::default();
        assert!(lane.is_free(Need::Events, PAUSE_MS));
        lane.begins([], 10_000);
        for (need, at, free) in [
            (Need::Request, 14_999, false),
            (Need::Request, 15_000, true),
            (Need::Events, 19_999, false),
            (Need::Events, 20_000, true),
        ] {
            assert_eq!(lane.is_free(need, at), free, "{need:?} {at}");
        }
        for _ in 0..20 {
            lane.begins([], 10_000);
        }
        assert!(!lane.is_free(Need::Events, 9_999 + PAUSE_MAX_MS));
        assert!(lane.is_free(Need::Events, 10_000 + PAUSE_MAX_MS));
        lane.succeeded(10_000);
        assert!(lane.is_free(Need::Events, 15_000));
    }

    #[test]
    fn a_notary_is_asked_again_at_once_only_for_another_key() {
        let mut lane = Lane::default();
        lane.begins(["a"], 10_000);
        assert!(!lane.is_free_for("a", 10_001));
        assert!(lane.is_free_for("b", 10_001));
        assert!(lane.is_free_for("a", 20_000));
        for n in 0..MISSED_MAX {
            lane.begins([n.to_string().as_str()], 10_000);
        }
        assert!(!lane.is_free_for("b", 10_001), "too many are made up");
        lane.told("a");
        assert!(lane.is_free_for("b", 10_001));
    }
}
