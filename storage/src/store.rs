//! The store: connections, the writer, and what they share.

use std::{future::Future, sync::Arc};

use sea_orm::DatabaseConnection;

use crate::{
    error::Result,
    id::Position,
    ids::Ids,
    listener::Listener,
    state_keys::StateKeys,
    write::{Committed, Write},
};

/// Where the data is, and what may be spent on it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub url: String,
    /// How many connections serve reads.
    pub readers: u32,
    /// The PostgreSQL schema; `None` for the user's default. No meaning for SQLite.
    pub schema: Option<String>,
}

impl Settings {
    /// The usual settings for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            readers: 4,
            schema: None,
        }
    }
}

/// What is kept. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    reader: DatabaseConnection,
    ids: Ids,
    state_keys: StateKeys,
}

impl Store {
    /// Opens the data, creating or migrating it where needed, and starts the writer.
    pub async fn open(settings: Settings) -> Result<Self> {
        let _ = settings;
        unimplemented!()
    }

    /// The connections for reading. They see all that is committed and never wait for the writer.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// Unused row ids.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.inner.ids
    }

    /// Pairs of event type and state key as integers.
    #[must_use]
    pub fn state_keys(&self) -> &StateKeys {
        &self.inner.state_keys
    }

    /// The last position that was committed: a reader sees everything up to it.
    #[must_use]
    pub fn position(&self) -> Position {
        unimplemented!()
    }

    /// Has `listener` hear of every commit from now on.
    pub fn subscribe(&self, listener: Arc<dyn Listener>) {
        let _ = listener;
        unimplemented!()
    }

    /// Waits until the writer's queue has room. Whoever uses [`Store::enqueue`] waits here first.
    pub async fn ready(&self) {}

    /// Writes; it is on disk when this returns. Dropping the future does not take the write back.
    pub async fn write(&self, write: Write) -> Result<Committed> {
        self.ready().await;
        self.enqueue(write).await
    }

    /// Takes a place in the writer's queue now, and resolves when the write is on disk.
    ///
    /// Writes are applied in the order of these calls. Dropping the future does not take the write
    /// back. Must be called within a tokio runtime.
    pub fn enqueue(
        &self,
        write: Write,
    ) -> impl Future<Output = Result<Committed>> + Send + 'static {
        let _ = write;
        async { unimplemented!() }
    }

    /// Opens an empty store for a test, which goes away with it.
    pub async fn in_memory() -> Result<Self> {
        unimplemented!()
    }
}
