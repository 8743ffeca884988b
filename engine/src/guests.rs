//! Guests: accounts without a password that may do little, and only where a room lets them. Client-server API, "Guest
//! Access".
//!
//! Whether somebody is a guest is known to their own server alone, so that the rules of rooms cannot ask. What a room says
//! about guests is obeyed here: when one joins (`room/membership.rs`), and, for those who are in it, when that changes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ruma::OwnedUserId;
use spec::{json::Value, object};
use storage::{Limit, Listener, Logged, Position, RoomRow, guests};
use tokio::{sync::Notify, time::timeout};

use crate::{Engine, Error, Result, room::Room};

/// The state event by which a room lets guests in.
pub(crate) const GUEST_ACCESS: &str = "m.room.guest_access";
/// How many guests leave between two looks at who is left.
const PAGE: u64 = 100;
/// After what time without news those rooms are tried again whose guests could not leave.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The rooms that have changed what they say about guests.
#[derive(Default)]
pub(crate) struct GuestDoors {
    rooms: Mutex<BTreeSet<RoomRow>>,
    changed: Notify,
}

impl GuestDoors {
    fn note(&self, room: RoomRow) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.insert(room);
        drop(rooms);
        self.changed.notify_one();
    }

    fn take(&self) -> BTreeSet<RoomRow> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rooms)
    }
}

impl Listener for GuestDoors {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, logged) in changes {
            // What resolution changes besides may be that event as well.
            if let Logged::Event(new) = logged.as_ref()
                && (new.event.is(GUEST_ACCESS, "") || new.resettled.is_some())
            {
                self.note(new.room);
            }
        }
    }
}

impl Room {
    /// Whether guests may join.
    pub(crate) async fn admits_guests(&self) -> Result<bool> {
        let known = self.state_event(GUEST_ACCESS, "").await?;
        let access = known.as_ref().map(|known| known.event.content());
        let access = access.and_then(|content| content.get("guest_access"));
        Ok(access.and_then(Value::as_str) == Some("can_join"))
    }
}

impl Engine {
    /// Has guests leave the rooms that do not admit them any more. Never returns; to be run in the background. What a stop
    /// leaves undone is done at the next start.
    pub async fn run_guests(&self) {
        let mut again = self.dismiss_guests(None).await;
        loop {
            let changed = self.context.guest_doors.changed.notified();
            let rooms = if timeout(AGAIN_AFTER, changed).await.is_ok() {
                self.context.guest_doors.take()
            } else {
                std::mem::take(&mut again)
            };
            for room in rooms {
                again.extend(self.dismiss_guests(Some(room)).await);
            }
        }
    }

    /// Has the guests of a room leave, or of all rooms; answers with the rooms in which some could not.
    async fn dismiss_guests(&self, room: Option<RoomRow>) -> BTreeSet<RoomRow> {
        let mut failed = BTreeSet::new();
        loop {
            let db = self.context.store.reader();
            let page = match guests::misplaced(db, room, Limit::new(PAGE)).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot look for guests who are where they may not be"
                    );
                    failed.extend(room);
                    return failed;
                }
            };
            let is_last = (page.len() as u64) < PAGE;
            let mut someone_left = false;
            for (row, user) in page {
                match self.dismiss_guest(row, &user).await {
                    Ok(()) => someone_left = true,
                    // Somebody else has removed them meanwhile.
                    Err(Error::Denied(_)) => {}
                    Err(error) => {
                        tracing::warn!(%user, %error, "a guest is still where they may not be");
                        failed.insert(row);
                    }
                }
            }
            if is_last || !someone_left {
                return failed;
            }
        }
    }

    async fn dismiss_guest(&self, room: RoomRow, user: &OwnedUserId) -> Result<()> {
        let room = self.rooms().by_row(room).await?;
        let leaving = user.clone();
        let left = room.run(move |room| {
            Box::pin(async move {
                let content = object! { "membership" => "leave" };
                let draft = room.member_draft(&leaving, &leaving, content);
                room.set_state(draft).await
            })
        });
        left.await?.on_disk(&room).await?;
        tracing::info!(%user, room = %room.meta.id, "a guest had to leave");
        Ok(())
    }
}
