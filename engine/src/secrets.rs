//! Random bytes that this server keeps for itself, each made when it is first needed.

use std::sync::Arc;

use storage::{Plain, Store, Write, secrets};
use tokio::sync::OnceCell;

use crate::{Error, Result, chance::Chance};

/// How many bytes a secret has.
pub(crate) const SECRET_BYTES: usize = 32;

/// What there is of them, once it was read.
pub(crate) struct Secrets {
    store: Store,
    chance: Arc<Chance>,
    /// Signs the links by which e-mails are unsubscribed from.
    unsubscribe: OnceCell<[u8; SECRET_BYTES]>,
    /// Proves to push services who speaks.
    web_push: OnceCell<[u8; SECRET_BYTES]>,
}

impl Secrets {
    pub(crate) fn new(store: Store, chance: Arc<Chance>) -> Self {
        Self {
            store,
            chance,
            unsubscribe: OnceCell::new(),
            web_push: OnceCell::new(),
        }
    }

    /// The key of the links by which e-mails are unsubscribed from.
    pub(crate) async fn unsubscribe(&self) -> Result<[u8; SECRET_BYTES]> {
        self.get(&self.unsubscribe, "unsubscribe", |_| true).await
    }

    /// The key by which push services know this server; `fits` says which bytes are one.
    pub(crate) async fn web_push(
        &self,
        fits: impl Fn(&[u8; SECRET_BYTES]) -> bool,
    ) -> Result<[u8; SECRET_BYTES]> {
        self.get(&self.web_push, "web_push", fits).await
    }

    async fn get(
        &self,
        cell: &OnceCell<[u8; SECRET_BYTES]>,
        name: &str,
        fits: impl Fn(&[u8; SECRET_BYTES]) -> bool,
    ) -> Result<[u8; SECRET_BYTES]> {
        let secret = cell.get_or_try_init(|| self.read_or_make(name, fits));
        secret.await.copied()
    }

    async fn read_or_make(
        &self,
        name: &str,
        fits: impl Fn(&[u8; SECRET_BYTES]) -> bool,
    ) -> Result<[u8; SECRET_BYTES]> {
        if let Some(stored) = secrets::find(self.store.reader(), name).await? {
            let bytes = stored.bytes.try_into();
            return bytes.map_err(|_| Error::Internal(format!("the secret {name} is damaged")));
        }
        let mut bytes = self.chance.bytes();
        // Nearly all do.
        while !fits(&bytes) {
            bytes = self.chance.bytes();
        }
        let secret = secrets::StoredSecret {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
        };
        self.store
            .write(Write::plain(vec![Plain::Secret(secret)]))
            .await?;
        Ok(bytes)
    }
}
