//! Group commit: all writes that wait become one transaction.
//!
//! While one commit is on its way to the disk the next batch gathers, so the busier, the larger
//! the batches. A batch that fails is taken apart: each of its writes is tried alone, so that the
//! one at fault does not fail its neighbours.

use std::{
    error::Error as StdError,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
};

use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use self::{batch::Outcome, prepared::Prepared};
use crate::{
    entity::counter,
    error::{Error, Result},
    id::Position,
    ids::Ids,
    listener::Listener,
    lock::DataLock,
    state_keys::StateKeys,
    write::{Committed, Logged, UnderWay},
};

mod batch;
mod directory_users;
mod heads;
mod ordered;
mod prepared;
mod purge;
mod remote_keys;
mod rows;
mod sliding;
mod summaries;
mod texts;
pub(crate) use self::{batch::position, prepared::prepare};

/// How many writes one transaction may hold: bounds how long the first of them waits.
const BATCH_MAX: usize = 512;

/// How many writes may wait before [`Store::ready`](crate::Store::ready) makes their makers wait.
pub(crate) const QUEUE_MAX: usize = 4_096;

/// What the writer is asked.
pub(crate) enum Ask {
    /// To write.
    Write(Box<Waiting>),
    /// To stop, when all that was asked before is done.
    Close,
}

/// A write in the queue.
pub(crate) struct Waiting {
    pub(crate) write: Prepared,
    /// Dropped with this, when the write has been answered.
    pub(crate) under_way: UnderWay,
    pub(crate) answer: oneshot::Sender<Result<Committed>>,
    /// Its place in the queue, given back when it is answered.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// What the writer shares with the store.
pub(crate) struct Shared {
    pub(crate) ids: Arc<Ids>,
    pub(crate) state_keys: StateKeys,
    pub(crate) position: AtomicI64,
    pub(crate) listeners: Mutex<Vec<Weak<dyn Listener>>>,
}

pub(crate) struct Writer {
    pub(crate) db: DatabaseConnection,
    pub(crate) shared: Arc<Shared>,
    /// Held for as long as anything can be written.
    pub(crate) lock: Option<DataLock>,
}

/// Why a batch is not in the database.
enum Failure {
    /// One of the writes is at fault; none is written.
    Write(Error),
    /// The connection is; none is written.
    Connection(Error),
    /// The commit failed, and nobody knows whether it went through.
    Commit(Error),
}

impl Writer {
    /// Answers writes until the queue ends.
    pub(crate) async fn run(self, mut queue: mpsc::UnboundedReceiver<Ask>) {
        let mut asks = Vec::with_capacity(BATCH_MAX);
        let mut closing = false;
        while !closing && queue.recv_many(&mut asks, BATCH_MAX).await > 0 {
            let mut batch = Vec::with_capacity(asks.len());
            for ask in asks.drain(..) {
                match ask {
                    Ask::Write(waiting) => batch.push(*waiting),
                    Ask::Close => closing = true,
                }
            }
            self.write(batch).await;
        }
        if let Err(error) = self.db.close().await {
            tracing::warn!(
                error = &error as &dyn StdError,
                "closing the database failed"
            );
        }
        drop(self.lock);
    }

    async fn write(&self, batch: Vec<Waiting>) {
        let mut batch = without_broken(batch);
        if batch.is_empty() {
            return;
        }
        let mut outcome = self.commit(&mut batch).await;
        if let Err(Failure::Connection(error)) = &outcome {
            tracing::warn!(
                error = error as &dyn StdError,
                "the database was lost; trying again"
            );
            outcome = self.commit(&mut batch).await;
        }
        match outcome {
            Ok(committed) => answer(batch, committed),
            Err(Failure::Write(error)) if batch.len() == 1 => refuse(batch, &error),
            Err(Failure::Write(_)) => {
                for waiting in batch {
                    Box::pin(self.write(vec![waiting])).await;
                }
            }
            Err(Failure::Connection(error) | Failure::Commit(error)) => {
                let writes = batch.len();
                tracing::error!(error = &error as &dyn StdError, writes, "writing failed");
                refuse(batch, &error);
            }
        }
    }

    /// One transaction, and the news of it to all but those who asked for it.
    async fn commit(&self, batch: &mut [Waiting]) -> Result<Vec<Committed>, Failure> {
        let blocks = self.shared.ids.to_reserve();
        let transaction = self
            .db
            .begin()
            .await
            .map_err(|e| Failure::Connection(e.into()))?;
        let outcome = match apply(&transaction, batch, &blocks).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // What failed may have been the connection itself; then this fails too.
                transaction
                    .rollback()
                    .await
                    .map_err(|e| Failure::Connection(e.into()))?;
                return Err(Failure::Write(error));
            }
        };
        transaction
            .commit()
            .await
            .map_err(|e| Failure::Commit(e.into()))?;
        Ok(self.committed(outcome, &blocks))
    }

    fn committed(&self, outcome: Outcome, blocks: &[counter::Model]) -> Vec<Committed> {
        self.shared.ids.reserved(blocks);
        self.shared.state_keys.confirm(&outcome.state_keys);
        if !outcome.changes.is_empty() {
            self.announce(&outcome.changes);
        }
        if let Some(last) = outcome.last {
            self.shared.position.store(last.0, Ordering::Release);
        }
        let position = Position(self.shared.position.load(Ordering::Acquire));
        outcome
            .positions
            .into_iter()
            .map(|positions| Committed {
                positions,
                position,
            })
            .collect()
    }

    fn announce(&self, changes: &[(Position, Arc<Logged>)]) {
        let listeners: Vec<Arc<dyn Listener>> = {
            let listeners = self.shared.listeners.lock();
            let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
            listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            let heard = catch_unwind(AssertUnwindSafe(|| listener.committed(changes)));
            if heard.is_err() {
                // What it keeps is its own; the next positions tell it that it missed some.
                tracing::error!(
                    changes = changes.len(),
                    "a listener panicked; writing goes on"
                );
            }
        }
    }
}

async fn apply(
    transaction: &DatabaseTransaction,
    batch: &mut [Waiting],
    blocks: &[counter::Model],
) -> Result<Outcome> {
    let mut writes: Vec<&mut Prepared> =
        batch.iter_mut().map(|waiting| &mut waiting.write).collect();
    batch::apply(transaction, &mut writes, blocks).await
}

/// Refuses the writes of broken chains; returns the others.
fn without_broken(batch: Vec<Waiting>) -> Vec<Waiting> {
    let (broken, whole): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| {
        waiting
            .write
            .chain
            .as_ref()
            .is_some_and(|chain| chain.is_broken())
    });
    refuse(broken, &Error::ChainBroken);
    whole
}

fn refuse(batch: Vec<Waiting>, error: &Error) {
    for waiting in batch {
        if let Some(chain) = &waiting.write.chain {
            chain.break_off();
        }
        // Who no longer waits for the answer does not want it.
        let _ = waiting.answer.send(Err(error.clone()));
    }
}

fn answer(batch: Vec<Waiting>, committed: Vec<Committed>) {
    for (waiting, committed) in batch.into_iter().zip(committed) {
        drop(waiting.place);
        drop(waiting.under_way);
        let _ = waiting.answer.send(Ok(committed));
    }
}
