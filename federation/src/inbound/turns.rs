//! How much one server may have this one read at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ruma::OwnedServerName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ApiError;

/// How many reads of one server are worked on at once, as in Synapse.
pub(super) const AT_ONCE: usize = 3;

/// How many more may wait; a server that sends more than that does not wait for answers.
const WAITING_MAX: usize = 50;

/// After what time a server that has too many reads waiting should come back.
const BUSY: Duration = Duration::from_secs(1);

/// Whose turn it is. Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<OwnedServerName, Lane>>>);

struct Lane {
    free: Arc<Semaphore>,
    /// How many turns there are, waiting ones included.
    turns: usize,
}

/// One read; it ends when this is dropped.
pub(super) struct Turn {
    turns: Turns,
    origin: OwnedServerName,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits until the server has fewer reads under way.
    ///
    /// # Errors
    /// 429: too many of them wait.
    pub(super) async fn take(&self, origin: OwnedServerName) -> Result<Turn, ApiError> {
        let (mut turn, free) = self.enter(origin)?;
        // The semaphore is never closed.
        turn.permit = free.acquire_owned().await.ok();
        Ok(turn)
    }

    fn enter(&self, origin: OwnedServerName) -> Result<(Turn, Arc<Semaphore>), ApiError> {
        let mut lanes = self.lanes();
        let lane = lanes.entry(origin.clone()).or_insert_with(|| Lane {
            free: Arc::new(Semaphore::new(AT_ONCE)),
            turns: 0,
        });
        if lane.turns == AT_ONCE + WAITING_MAX {
            return Err(ApiError::too_many(BUSY));
        }
        lane.turns += 1;
        let turn = Turn {
            turns: self.clone(),
            origin,
            permit: None,
        };
        Ok((turn, Arc::clone(&lane.free)))
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<OwnedServerName, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut lanes = self.turns.lanes();
        if let Some(lane) = lanes.get_mut(&self.origin) {
            lane.turns -= 1;
            if lane.turns == 0 {
                lanes.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use ruma::owned_server_name;

    use super::*;

    #[tokio::test]
    async fn one_server_waits_for_itself_and_no_other() {
        let turns = Turns::default();
        let (busy, other) = (owned_server_name!("busy"), owned_server_name!("other"));
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take(busy.clone()).await.ok());
        }
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| Box::pin(turns.take(busy.clone())))
            .collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none());
        }
        assert!(turns.take(busy.clone()).await.is_err(), "too many wait");
        assert!(turns.take(other).await.is_ok());
        held.pop();
        assert!(waiting.remove(0).await.is_ok());
        drop((held, waiting));
        assert!(turns.lanes().is_empty());
    }
}
