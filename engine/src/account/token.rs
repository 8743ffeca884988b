//! Tokens: how they look, how they are stored, and the cache that answers for most requests.

use std::sync::{Arc, Mutex, MutexGuard};

use quick_cache::sync::Cache as QuickCache;
use ruma::UserId;
use sha2::{Digest as _, Sha256};

use super::secret::Secret;
use crate::{Requester, chance::Chance};

/// What the store keeps of a token: SHA-256. A token has 256 random bits, so that neither salt nor cost is needed.
pub(super) type Hash = [u8; 32];

/// Says at a glance what a string is that turns up in a log or a bug report.
const ACCESS_PREFIX: &str = "rka_";
const REFRESH_PREFIX: &str = "rkr_";
const OPENID_PREFIX: &str = "rko_";

/// A new access token.
pub(super) fn new_access(chance: &Chance) -> Secret {
    Secret::new(format!("{ACCESS_PREFIX}{}", chance.secret()))
}

/// A new refresh token.
pub(super) fn new_refresh(chance: &Chance) -> Secret {
    Secret::new(format!("{REFRESH_PREFIX}{}", chance.secret()))
}

/// A new OpenID token.
pub(super) fn new_openid(chance: &Chance) -> Secret {
    Secret::new(format!("{OPENID_PREFIX}{}", chance.secret()))
}

/// What the store keeps of `token`.
pub(super) fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// What is known of an access token.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) requester: Requester,
    /// From when on it is refused.
    pub(super) expires_ms: Option<i64>,
    /// Whether the account is locked.
    pub(super) locked: bool,
}

/// The access tokens that were used lately.
///
/// What is forgotten here stays forgotten: a read of the store that began before a change was committed must not put
/// the old answer back after it. So a reader takes the [`Epoch`] first, and its answer counts only while that lasts.
pub(super) struct Cache {
    known: QuickCache<Hash, Arc<Known>>,
    epoch: Mutex<Epoch>,
}

/// The time between two changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl Cache {
    pub(super) fn new(tokens: usize) -> Self {
        Self {
            known: QuickCache::new(tokens),
            epoch: Mutex::default(),
        }
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<Arc<Known>> {
        self.known.get(hash)
    }

    /// To be called before the store is read.
    pub(super) fn epoch(&self) -> Epoch {
        *self.current()
    }

    /// Remembers what was read since `epoch`, unless something was forgotten since.
    pub(super) fn remember(&self, epoch: Epoch, hash: Hash, known: Arc<Known>) {
        let current = self.current();
        if *current == epoch {
            self.known.insert(hash, known);
        }
    }

    /// Forgets the tokens of `user` that `which` names. To be called after the commit.
    pub(super) fn forget(&self, user: &UserId, which: impl Fn(&Known) -> bool) {
        let mut current = self.current();
        current.0 += 1;
        self.known
            .retain(|_, known| known.requester.user_id != user || !which(known));
    }

    /// Forgets the tokens with these hashes. To be called after the commit.
    pub(super) fn forget_tokens(&self, hashes: &[Vec<u8>]) {
        let mut current = self.current();
        current.0 += 1;
        for hash in hashes
            .iter()
            .filter_map(|hash| Hash::try_from(hash.as_slice()).ok())
        {
            self.known.remove(&hash);
        }
    }

    fn current(&self) -> MutexGuard<'_, Epoch> {
        self.epoch
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ruma::{owned_user_id, user_id};

    use super::{Cache, Known, hash};
    use crate::Requester;

    #[test]
    fn what_was_forgotten_does_not_come_back() {
        let cache = Cache::new(10);
        let alice = Requester {
            user_id: owned_user_id!("@alice:rookery.test"),
            device_id: Some("A".into()),
            admin: false,
            guest: false,
        };
        let known = Arc::new(Known {
            requester: alice,
            expires_ms: None,
            locked: false,
        });
        let token = hash("token");

        let before = cache.epoch();
        cache.remember(before, token, Arc::clone(&known));
        assert!(cache.get(&token).is_some());
        cache.forget(user_id!("@bob:rookery.test"), |_| true);
        assert!(cache.get(&token).is_some(), "of another user");
        cache.forget(user_id!("@alice:rookery.test"), |_| true);
        assert!(cache.get(&token).is_none());
        cache.remember(before, token, known);
        assert!(cache.get(&token).is_none(), "read before the logout");
    }
}
