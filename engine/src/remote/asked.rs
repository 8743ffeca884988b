//! What other servers have answered lately, so that they are not asked the same again and again.

use std::{hash::Hash, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId};

use crate::{profile::Fields, space::Branch};

/// How many bytes of answers each of the caches may hold, about.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What an answer takes besides its content, in bytes.
const ENTRY_BYTES: usize = 256;

/// Answers by what was asked. `None` where those who must know know nothing.
pub(crate) struct Asked {
    /// The profiles of users.
    pub(crate) profiles: Lately<OwnedUserId, Option<Arc<Fields>>>,
    /// Rooms with their children, by who was asked: nobody speaks for others.
    pub(crate) branches: Lately<(OwnedServerName, OwnedRoomId), Option<Arc<Branch>>>,
    /// Policy servers that did not answer.
    pub(crate) silent_policies: Lately<OwnedServerName, ()>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            profiles: Lately::new(),
            branches: Lately::new(),
            silent_policies: Lately::new(),
        }
    }
}

/// A bounded cache whose entries are good for some time.
pub(crate) struct Lately<K, V> {
    cache: Cache<K, Entry<V>, ByBytes>,
}

#[derive(Clone)]
struct Entry<V> {
    until_ms: i64,
    bytes: usize,
    value: V,
}

#[derive(Clone)]
struct ByBytes;

impl<K, V> Weighter<K, Entry<V>> for ByBytes {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        (entry.bytes + ENTRY_BYTES) as u64
    }
}

impl<K: Eq + Hash, V: Clone> Lately<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::with_weighter(1_024, BYTES_MAX, ByBytes),
        }
    }

    /// The answer, if it is still good.
    pub(crate) fn get(&self, key: &K, now_ms: i64) -> Option<V> {
        let entry = self.cache.get(key)?;
        (entry.until_ms > now_ms).then_some(entry.value)
    }

    /// Keeps an answer of some `bytes` until `until_ms` (exclusive).
    pub(crate) fn put(&self, key: K, value: V, bytes: usize, until_ms: i64) {
        let entry = Entry {
            until_ms,
            bytes,
            value,
        };
        self.cache.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::Lately;

    #[test]
    fn an_answer_is_good_until_its_time() {
        let answers = Lately::new();
        answers.put("a", 1, 10, 100);
        assert_eq!(answers.get(&"a", 99), Some(1));
        assert_eq!(answers.get(&"a", 100), None);
        answers.put("a", 2, 10, 200);
        assert_eq!(answers.get(&"a", 100), Some(2));
        assert_eq!(answers.get(&"b", 0), None);
    }
}
