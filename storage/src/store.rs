//! The store: connections, the writer, and what they share.

use std::{
    any::Any,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use sea_orm::DatabaseConnection;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    connect,
    error::{Error, Result},
    id::Position,
    ids::Ids,
    listener::Listener,
    state_keys::StateKeys,
    write::{Committed, Write},
    writer::{self, Ask, Shared, Waiting, Writer},
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
    /// What a commit waits for.
    pub durability: Durability,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Until the disk has it.
    Full,
    /// Nothing: for tests, whose data may go with the machine.
    None,
}

impl Settings {
    /// The usual settings for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            readers: 4,
            schema: None,
            durability: Durability::Full,
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
    /// How many statements the reader has run.
    reads: Arc<AtomicU64>,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Ask>,
    places: Arc<Semaphore>,
    /// What the data needs in order to be there: the directory of a test.
    _kept: Option<Kept>,
}

type Kept = Arc<dyn Any + Send + Sync>;

impl Store {
    /// Opens the data, creating or migrating it where needed, and starts the writer, which lives
    /// on the current tokio runtime until [`Store::close`] or the last clone is gone.
    ///
    /// # Errors
    /// [`Error::Locked`]: another process uses the data. [`Error::Settings`]: the URL is not of a
    /// kind that is known. [`Error::File`], [`Error::Database`]: it cannot be opened.
    pub async fn open(settings: Settings) -> Result<Self> {
        Self::open_keeping(settings, None).await
    }

    pub(crate) async fn open_keeping(settings: Settings, kept: Option<Kept>) -> Result<Self> {
        let connect::Connections {
            writer: db,
            mut reader,
            lock,
        } = connect::open(&settings).await?;
        let reads = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reads);
        reader.set_metric_callback(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let ids = Arc::new(Ids::open(&db).await?);
        let shared = Arc::new(Shared {
            state_keys: StateKeys::new(reader.clone(), Arc::clone(&ids)),
            ids,
            position: AtomicI64::new(writer::position(&db).await?.0),
            listeners: Mutex::default(),
        });
        let (queue, asks) = mpsc::unbounded_channel();
        tokio::spawn(
            Writer {
                db,
                shared: Arc::clone(&shared),
                lock,
            }
            .run(asks),
        );
        let places = Arc::new(Semaphore::new(writer::QUEUE_MAX));
        Ok(Self {
            inner: Arc::new(Inner {
                reader,
                reads,
                shared,
                queue,
                places,
                _kept: kept,
            }),
        })
    }

    /// The connections for reading. They see all that is committed and never wait for the writer.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// How many statements the connections for reading have run since the store was opened.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.inner.reads.load(Ordering::Relaxed)
    }

    /// Unused row ids.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.inner.shared.ids
    }

    /// Pairs of event type and state key as integers.
    #[must_use]
    pub fn state_keys(&self) -> &StateKeys {
        &self.inner.shared.state_keys
    }

    /// The last position that was committed and announced: a reader sees everything up to it, and
    /// every listener has heard of it.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.inner.shared.position.load(Ordering::Acquire))
    }

    /// Has `listener` hear of every commit from now on, for as long as somebody else keeps it: most listeners have the store,
    /// and would keep each other for ever.
    pub fn subscribe<L: Listener + 'static>(&self, listener: &Arc<L>) {
        let listener: Weak<L> = Arc::downgrade(listener);
        let listeners = &self.inner.shared.listeners;
        listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    /// Waits until the writer's queue has room. Whoever uses [`Store::enqueue`] waits here first.
    pub async fn ready(&self) {
        // The place itself is taken by `enqueue`: between the two some more may come, not many.
        drop(self.inner.places.acquire().await);
    }

    /// Writes; it is on disk when this returns. Dropping the future does not take the write back.
    ///
    /// # Errors
    /// [`Error::Conflict`]: a row exists that may exist only once. [`Error::ChainBroken`]: an
    /// earlier write of its chain failed. [`Error::Closed`]: the store was closed.
    /// [`Error::Database`]: the database failed; then it is not known whether the write is stored.
    pub async fn write(&self, write: Write) -> Result<Committed> {
        self.ready().await;
        self.enqueue(write).await
    }

    /// Takes a place in the writer's queue now, and resolves when the write is on disk.
    ///
    /// Writes are applied in the order of these calls. Dropping the future does not take the write
    /// back.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn enqueue(&self, write: Write) -> impl Future<Output = Result<Committed>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            under_way: write.under_way.clone(),
            write: writer::prepare(write),
            answer,
            place: Arc::clone(&self.inner.places).try_acquire_owned().ok(),
        };
        // If the writer is gone, so is the sender of the answer.
        let _ = self.inner.queue.send(Ask::Write(Box::new(waiting)));
        async move { answered.await.unwrap_or(Err(Error::Closed)) }
    }

    /// Writes what is in the queue, refuses all that comes later, and closes the database.
    ///
    /// When this returns another process may open it.
    pub async fn close(&self) {
        let _ = self.inner.queue.send(Ask::Close);
        self.inner.queue.closed().await;
        if let Err(error) = self.inner.reader.clone().close().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "closing the database failed"
            );
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
