//! How long a server's key may be believed.

use super::PublicKey;
use crate::room_version::RoomVersion;

/// The longest that a key is believed without asking again: 7 days, in milliseconds.
pub const MAX_KEY_VALIDITY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Until when a key fetched at `now` is believed, both in milliseconds since 1970.
///
/// The lesser of what its server says and 7 days from now. Source: room version 5, "Signing key validity
/// period".
pub fn effective_valid_until(valid_until_ts: i64, now: i64) -> i64 {
    valid_until_ts.min(now.saturating_add(MAX_KEY_VALIDITY_MS))
}

/// A key as its server publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedKey {
    pub key: PublicKey,
    /// Until when the key is believed, see [`effective_valid_until`]; unused for old keys.
    pub valid_until_ts: i64,
    /// For one of the server's `old_verify_keys`: since when it signs no more.
    pub expired_ts: Option<i64>,
}

impl PublishedKey {
    /// Whether the key may have signed an event made at `origin_server_ts`.
    ///
    /// An expired key never signs what is newer than its end, in any room version; that a current key
    /// must have been valid then is asked from room version 5 on.
    pub fn may_sign(&self, version: &RoomVersion, origin_server_ts: i64) -> bool {
        match self.expired_ts {
            Some(expired) => origin_server_ts <= expired,
            None => !version.enforce_key_validity || origin_server_ts <= self.valid_until_ts,
        }
    }

    /// Whether the key may sign a request made at `now`: old keys sign events only.
    pub fn may_sign_requests(&self, now: i64) -> bool {
        self.expired_ts.is_none() && now <= self.valid_until_ts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PublicKey {
        PublicKey::from_base64("XSl0kuyvrXNj6A+7/tkrB9sxSbRi08Of5uRhxOqZtEQ").unwrap()
    }

    /// Room version 5, "Signing key validity period"; server-server API, "Validating hashes and signatures".
    #[test]
    fn a_key_signs_within_its_time() {
        let current = PublishedKey {
            key: key(),
            valid_until_ts: 100,
            expired_ts: None,
        };
        let old = PublishedKey {
            key: key(),
            valid_until_ts: 0,
            expired_ts: Some(50),
        };
        for (case, key, version, ts, may) in [
            ("at the last moment", current, "5", 100, true),
            ("too late", current, "5", 101, false),
            (
                "too late, but not asked before version 5",
                current,
                "4",
                101,
                true,
            ),
            ("before its end", old, "5", 50, true),
            ("after its end", old, "5", 51, false),
            ("after its end, in an old version too", old, "1", 51, false),
        ] {
            let version = RoomVersion::get(version).unwrap();
            assert_eq!(key.may_sign(version, ts), may, "{case}");
        }
        assert!(current.may_sign_requests(100) && !current.may_sign_requests(101));
        assert!(!old.may_sign_requests(10));
    }

    #[test]
    fn no_key_is_believed_for_longer_than_a_week() {
        assert_eq!(effective_valid_until(5, 10), 5);
        assert_eq!(
            effective_valid_until(i64::MAX, 10),
            10 + MAX_KEY_VALIDITY_MS
        );
    }
}
