//! A key of another server as it is remembered, and what news may change about it. Pure.

use ruma::OwnedServerName;
use spec::sign::{PublicKey, PublishedKey, effective_valid_until};
use storage::entity::remote_key;

use super::published::Published;

/// A key of another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: PublicKey,
    /// As the server said, in milliseconds since the epoch.
    pub(crate) valid_until_ts: i64,
    /// Since when it signs no more.
    pub(crate) expired_ts: Option<i64>,
    /// When we heard it.
    pub(crate) fetched_ts: i64,
}

/// From whom a document came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// From its server, over a connection that was proven to be its.
    Itself,
    /// From a notary.
    Notary,
}

impl Known {
    /// All keys of a document that was received at `now_ms`.
    pub(crate) fn of(published: &Published, now_ms: i64) -> Vec<(String, Self)> {
        let known = published.keys.iter().map(|(id, listed)| {
            let known = Self {
                key: listed.key,
                valid_until_ts: published.valid_until_ts,
                expired_ts: listed.expired_ts,
                fetched_ts: now_ms,
            };
            (id.clone(), known)
        });
        known.collect()
    }

    /// The key for checking signatures with.
    pub(crate) fn published(&self) -> PublishedKey {
        PublishedKey {
            key: self.key,
            valid_until_ts: effective_valid_until(self.valid_until_ts, self.fetched_ts),
            expired_ts: self.expired_ts,
        }
    }

    /// Whether nothing would be gained by asking anew about something signed at `ts`.
    pub(crate) fn suffices_for(&self, ts: i64) -> bool {
        self.expired_ts.is_some() || ts <= self.published().valid_until_ts
    }

    /// Whether `news` of the same key ID takes the place of this.
    ///
    /// A document that is valid for less long is an older one, and says nothing new. Another key under the
    /// same ID is a forgery as long as this one is valid; later its own server, and nobody else, may say so.
    pub(crate) fn gives_way_to(&self, news: &Self, source: Source) -> bool {
        let (ours, theirs) = (self.published(), news.published());
        if self.key == news.key {
            ours.valid_until_ts <= theirs.valid_until_ts
        } else {
            source == Source::Itself && ours.valid_until_ts < news.fetched_ts
        }
    }

    /// Whether a notary should ask again: half of the time for which the answer was given has gone by.
    pub(crate) fn is_stale(&self, now_ms: i64) -> bool {
        let until = self.published().valid_until_ts;
        now_ms > self.fetched_ts.midpoint(until)
    }

    /// The key as it is stored.
    pub(crate) fn row(&self, server: &OwnedServerName, key_id: &str) -> remote_key::Model {
        remote_key::Model {
            server: server.to_string(),
            key_id: key_id.to_owned(),
            key: self.key.to_base64(),
            valid_until_ts: self.valid_until_ts,
            expired_ts: self.expired_ts,
            fetched_ts: self.fetched_ts,
        }
    }

    /// The key as it was stored. `None` for what is no key, as after damage: then it is fetched again.
    pub(crate) fn from_row(row: remote_key::Model) -> Option<Self> {
        Some(Self {
            key: PublicKey::from_base64(&row.key)?,
            valid_until_ts: row.valid_until_ts,
            expired_ts: row.expired_ts,
            fetched_ts: row.fetched_ts,
        })
    }
}

#[cfg(test)]
mod tests {
    use spec::sign::MAX_KEY_VALIDITY_MS;

    use super::*;

    fn known(seed: u8, valid_until_ts: i64, fetched_ts: i64) -> Known {
        Known {
            key: super::super::published::tests::key("a", seed).public_key(),
            valid_until_ts,
            expired_ts: None,
            fetched_ts,
        }
    }

    #[test]
    fn no_spurious_answer_overwrites_a_valid_key() {
        let before = known(1, 1_000, 0);
        for (case, news, source, gives_way) in [
            (
                "valid for longer",
                known(1, 2_000, 500),
                Source::Notary,
                true,
            ),
            ("an older one", known(1, 900, 500), Source::Itself, false),
            ("another key", known(2, 9_000, 500), Source::Itself, false),
            (
                "another key, later",
                known(2, 9_000, 1_001),
                Source::Itself,
                true,
            ),
            (
                "another key by a notary",
                known(2, 9_000, 1_001),
                Source::Notary,
                false,
            ),
        ] {
            assert_eq!(before.gives_way_to(&news, source), gives_way, "{case}");
        }
    }

    #[test]
    fn a_key_is_believed_for_a_week_at_most() {
        let eternal = known(1, i64::MAX, 10);
        assert!(eternal.suffices_for(10 + MAX_KEY_VALIDITY_MS));
        assert!(!eternal.suffices_for(11 + MAX_KEY_VALIDITY_MS));
        let old = Known {
            expired_ts: Some(5),
            ..known(1, 0, 0)
        };
        assert!(
            old.suffices_for(1_000),
            "nobody knows more about an old key"
        );
    }

    #[test]
    fn it_comes_back_from_its_row() {
        let known = known(1, 2, 3);
        let server = super::super::published::tests::server();
        assert_eq!(
            Known::from_row(known.row(&server, "ed25519:a")),
            Some(known)
        );
    }
}
