//! Signing keys: those of this server, and in the files below those of others.
//!
//! Our own live in the database, in `server_keys`, and not in a file of their own: a backup of the
//! database is then whole, and several processes on one database have one identity. A lost key is
//! a lost server: nobody would believe its rooms any more.

pub(crate) mod document;
pub(crate) mod known;
mod notary;
pub(crate) mod published;
pub(crate) mod query;
pub(crate) mod remote;

use std::collections::BTreeMap;
use std::sync::Arc;

use ruma::{OwnedServerName, ServerName};
use spec::sign::{PublicKey, PublishedKey, ServerKey};
use storage::entity::server_key;
use storage::{Plain, Store, Write, server_keys};

/// The key that signs now, and those that did.
#[derive(Debug, Clone)]
pub struct OwnKeys {
    current: Arc<ServerKey>,
    /// Others without an end, as after a restored backup: what they signed is believed, and they sign nothing.
    beside: Vec<Arc<ServerKey>>,
    old: Vec<OldKey>,
}

/// A key that signs no more; what it signed stays valid.
#[derive(Debug, Clone)]
pub(crate) struct OldKey {
    pub(crate) key_id: String,
    pub(crate) key: PublicKey,
    /// When it stopped to sign, in milliseconds since the epoch.
    pub(crate) expired_ts: i64,
}

/// What [`OwnKeys::rotate`] has done: the ids of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Those that sign no more; empty for a server that had none yet.
    pub retired: Vec<String>,
    /// The one that signs from now on.
    pub current: String,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// They could not be read, or the first one not be written.
    #[error("the signing keys could not be read or written")]
    Store(#[from] storage::Error),
    /// The data is another server's.
    #[error(
        "this data belongs to the server {stored}, not to {asked}; a server cannot be renamed: \
         use its own name, or give this server data of its own"
    )]
    OtherServer {
        /// Whose data it is.
        stored: String,
        /// Who wanted it.
        asked: OwnedServerName,
    },
    /// What is stored is no key.
    #[error("the stored signing key {0} is damaged; restore the table server_keys from a backup")]
    Damaged(String),
}

impl OwnKeys {
    /// The keys of `server` from the store; where there is none yet, one is made of `seed` (32
    /// random bytes) and on disk when this returns.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub async fn load(
        store: &Store,
        server: &ServerName,
        seed: [u8; 32],
        now_ms: i64,
    ) -> Result<Self, KeysError> {
        let mut rows = server_keys::all(store.reader()).await?;
        belong(server, &rows)?;
        if !rows.iter().any(|row| row.expired_ts.is_none()) {
            let made = fresh(server, seed, now_ms);
            store
                .write(Write::plain(vec![Plain::ServerKey(made.clone())]))
                .await?;
            rows.push(made);
        }
        Self::from_rows(server, &rows)
    }

    /// Retires the key that signs now, and makes a new one of `seed` (32 random bytes) that signs from the next start on.
    /// What the old one has signed stays valid, since it goes on to be published. On disk when this returns.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub async fn rotate(
        store: &Store,
        server: &ServerName,
        seed: [u8; 32],
        now_ms: i64,
    ) -> Result<Rotated, KeysError> {
        let rows = server_keys::all(store.reader()).await?;
        belong(server, &rows)?;
        let new = fresh(server, seed, now_ms);
        let retired: Vec<server_key::Model> = rows
            .into_iter()
            .filter(|row| row.expired_ts.is_none())
            .map(|row| server_key::Model {
                expired_ts: Some(now_ms),
                ..row
            })
            .collect();
        let rotated = Rotated {
            retired: retired.iter().map(|row| row.key_id.clone()).collect(),
            current: new.key_id.clone(),
        };
        let rows = retired.into_iter().chain([new]);
        store
            .write(Write::plain(rows.map(Plain::ServerKey).collect()))
            .await?;
        Ok(rotated)
    }

    /// The keys that once signed, or might have, by id: what they signed comes back from other servers.
    #[must_use]
    pub fn former(&self) -> BTreeMap<String, PublishedKey> {
        let former = self.old.iter().map(|old| old.key_id.as_str());
        let beside = self.beside.iter().map(|key| key.key_id());
        former
            .chain(beside)
            .filter_map(|id| Some((id.to_owned(), self.published(id)?)))
            .collect()
    }

    /// The key with this id, whether it still signs or not.
    pub(crate) fn published(&self, key_id: &str) -> Option<PublishedKey> {
        let mut without_end = self.beside.iter().chain([&self.current]);
        if let Some(key) = without_end.find(|key| key.key_id() == key_id) {
            return Some(PublishedKey {
                key: key.public_key(),
                valid_until_ts: i64::MAX,
                expired_ts: None,
            });
        }
        let old = self.old.iter().find(|old| old.key_id == key_id)?;
        Some(PublishedKey {
            key: old.key,
            valid_until_ts: old.expired_ts,
            expired_ts: Some(old.expired_ts),
        })
    }

    /// The key that signs now.
    #[must_use]
    pub fn current(&self) -> &Arc<ServerKey> {
        &self.current
    }

    /// Other keys without an end.
    pub(crate) fn beside(&self) -> &[Arc<ServerKey>] {
        &self.beside
    }

    pub(crate) fn old(&self) -> &[OldKey] {
        &self.old
    }

    /// The newest key without an end signs; there is one.
    fn from_rows(server: &ServerName, rows: &[server_key::Model]) -> Result<Self, KeysError> {
        let mut current: Option<Arc<ServerKey>> = None;
        let mut old = Vec::new();
        let mut beside = Vec::new();
        for row in rows {
            let key = Arc::new(parse(server, row)?);
            match row.expired_ts {
                Some(expired_ts) => old.push(OldKey {
                    key_id: row.key_id.clone(),
                    key: key.public_key(),
                    expired_ts,
                }),
                None => beside.extend(current.replace(key)),
            }
        }
        let current = current.ok_or_else(|| KeysError::Damaged("(none is current)".to_owned()))?;
        Ok(Self {
            current,
            beside,
            old,
        })
    }
}

/// Whether the keys, and with them all data, are this server's.
fn belong(server: &ServerName, rows: &[server_key::Model]) -> Result<(), KeysError> {
    match rows.iter().find(|row| row.server_name != server.as_str()) {
        Some(other) => Err(KeysError::OtherServer {
            stored: other.server_name.clone(),
            asked: server.to_owned(),
        }),
        None => Ok(()),
    }
}

fn parse(server: &ServerName, row: &server_key::Model) -> Result<ServerKey, KeysError> {
    let damaged = || KeysError::Damaged(row.key_id.clone());
    let version = row.key_id.strip_prefix("ed25519:").ok_or_else(damaged)?;
    let seed: &[u8; 32] = row.seed.as_slice().try_into().map_err(|_| damaged())?;
    Ok(ServerKey::from_seed(server.to_owned(), version, seed))
}

/// A new key. Its version comes from its public half, so that two keys never share an ID: servers
/// remember keys by ID, and would take the second for a forgery.
fn fresh(server: &ServerName, seed: [u8; 32], now_ms: i64) -> server_key::Model {
    let public = ServerKey::from_seed(server.to_owned(), "new", &seed)
        .public_key()
        .to_base64();
    let version: String = public
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(8)
        .collect();
    server_key::Model {
        key_id: format!("ed25519:{version}"),
        server_name: server.to_string(),
        seed: seed.to_vec(),
        created_ts: now_ms,
        expired_ts: None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn server() -> OwnedServerName {
        "example.org".try_into().unwrap()
    }

    /// A server's keys: one current, one of the past.
    pub(crate) fn keys() -> OwnKeys {
        let mut retired = fresh(&server(), [1; 32], 1_000);
        retired.expired_ts = Some(2_000);
        OwnKeys::from_rows(&server(), &[retired, fresh(&server(), [2; 32], 2_000)]).unwrap()
    }

    #[test]
    fn the_key_without_an_end_signs() {
        let keys = keys();
        assert_eq!(keys.old().len(), 1);
        assert_eq!(keys.old()[0].expired_ts, 2_000);
        assert_ne!(keys.old()[0].key_id, keys.current().key_id());
    }

    #[test]
    fn of_several_keys_without_an_end_the_newest_signs_and_all_are_known() {
        let rows = [
            fresh(&server(), [1; 32], 1_000),
            fresh(&server(), [2; 32], 2_000),
        ];
        let keys = OwnKeys::from_rows(&server(), &rows).unwrap();
        assert_eq!(keys.current().key_id(), rows[1].key_id);
        let first = &keys.former()[&rows[0].key_id];
        assert_eq!(first.expired_ts, None);
        assert_eq!(keys.beside()[0].public_key(), first.key);
    }

    #[tokio::test]
    async fn a_key_that_is_retired_goes_on_to_be_known() {
        for store in storage::testing::open_each().await.unwrap() {
            let first = OwnKeys::load(&store, &server(), [1; 32], 10).await.unwrap();
            let rotated = OwnKeys::rotate(&store, &server(), [2; 32], 20)
                .await
                .unwrap();
            assert_eq!(rotated.retired, [first.current().key_id()]);
            let then = OwnKeys::load(&store, &server(), [3; 32], 30).await.unwrap();
            assert_eq!(then.current().key_id(), rotated.current);
            let former = &then.former()[first.current().key_id()];
            assert_eq!(former.key, first.current().public_key());
            assert_eq!(former.expired_ts, Some(20));
        }
    }

    /// Server-server API, "Publishing Keys": the version has only letters, digits and `_`.
    #[test]
    fn a_new_key_has_an_id_of_the_right_form() {
        for byte in 0..50 {
            let id = fresh(&server(), [byte; 32], 0).key_id;
            let version = id.strip_prefix("ed25519:").unwrap();
            assert!(version.len() >= 6, "{id}");
            assert!(
                version
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_'),
                "{id}"
            );
        }
    }

    #[test]
    fn the_keys_of_another_server_are_refused() {
        let other: OwnedServerName = "other.example".try_into().unwrap();
        let rows = [fresh(&server(), [1; 32], 0)];
        assert!(belong(&server(), &rows).is_ok());
        assert!(matches!(
            belong(&other, &rows),
            Err(KeysError::OtherServer { .. })
        ));
    }

    #[test]
    fn damage_is_told_and_not_papered_over() {
        let mut short = fresh(&server(), [1; 32], 0);
        short.seed.pop();
        assert!(matches!(
            OwnKeys::from_rows(&server(), &[short]),
            Err(KeysError::Damaged(_))
        ));
    }
}
