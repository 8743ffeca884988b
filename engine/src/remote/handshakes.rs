//! One handshake at a time for each room that this server is about to enter.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ruma::{OwnedRoomId, RoomId};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Who waits to get into which room. A second user of this server finds it in the room once the first is; the same user
/// twice finds that they are joined.
#[derive(Default)]
pub(crate) struct Handshakes(Mutex<HashMap<OwnedRoomId, Arc<Turn<()>>>>);

impl Handshakes {
    /// Whether this server is about to enter any room: others may speak to it before it knows that it is there.
    pub(crate) fn is_entering(&self) -> bool {
        let busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.values().any(|turn| Arc::strong_count(turn) > 1)
    }

    /// Waits until nobody else shakes hands over the room, and keeps others away until the guard is dropped.
    pub(crate) async fn turn(&self, room: &RoomId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits or works has a clone.
            busy.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(busy.entry(room.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
