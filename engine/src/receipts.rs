//! How far people have read: client-server API, "Receipts" and "Fully read markers".

use std::collections::{HashMap, HashSet};

use ruma::{EventId, OwnedEventId, UserId};
use serde_json::{Value, json};
use spec::relation::THREAD;
use storage::{
    Logged, Position, Write, account_data, events, receipts, relations,
    write::{NewAccountData, NewReceipt},
};

use crate::{Error, Requester, Result, rooms::RoomHandle};

/// To which thread a receipt belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReceiptThread {
    /// To none: it speaks of the whole room.
    #[default]
    Unthreaded,
    /// To the main timeline.
    Main,
    /// To the thread with this root.
    Thread(OwnedEventId),
}

impl ReceiptThread {
    fn as_str(&self) -> &str {
        match self {
            Self::Unthreaded => "",
            Self::Main => "main",
            Self::Thread(root) => root.as_str(),
        }
    }
}

/// Whether the marker of all that was read may be moved to an earlier event (MSC4446).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backwards {
    /// It stays where it is then.
    #[default]
    Ignored,
    /// The user has asked for just that.
    Allowed,
}

impl Backwards {
    /// Allowed if so.
    #[must_use]
    pub const fn allowed(allowed: bool) -> Self {
        match allowed {
            true => Self::Allowed,
            false => Self::Ignored,
        }
    }
}

/// The account data that holds the marker of all that was read.
const FULLY_READ: &str = "m.fully_read";

impl RoomHandle {
    /// Says that the user has read up to an event. One that lies before what they have read already changes nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user is not in the room. [`Error::InvalidParam`]: there is no such kind of receipt, or the
    /// event does not belong to the thread.
    pub async fn set_receipt(
        &self,
        by: &Requester,
        kind: &str,
        event_id: &EventId,
        thread: ReceiptThread,
    ) -> Result<()> {
        self.require_joined(by).await?;
        self.context.presence.active(&by.user_id);
        let write = match kind {
            FULLY_READ if thread != ReceiptThread::Unthreaded => {
                return Err(Error::InvalidParam(
                    "m.fully_read belongs to no thread: leave `thread_id` out".to_owned(),
                ));
            }
            FULLY_READ => {
                let marker = self.fully_read(by, event_id, Backwards::Ignored).await?;
                marker.into_iter().collect()
            }
            "m.read" | "m.read.private" => {
                self.check_thread(event_id, &thread).await?;
                let receipt = self.receipt(by, kind, event_id, &thread).await?;
                receipt.into_iter().collect()
            }
            other => {
                return Err(Error::InvalidParam(format!(
                    "There is no receipt type {other}: it is m.read, m.read.private or m.fully_read"
                )));
            }
        };
        self.write_logged(write).await
    }

    /// Sets the marker of all that was read and, in the same write, receipts.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user is not in the room.
    pub async fn set_read_markers(
        &self,
        by: &Requester,
        fully_read: Option<OwnedEventId>,
        read: Option<OwnedEventId>,
        read_private: Option<OwnedEventId>,
        backwards: Backwards,
    ) -> Result<()> {
        self.require_joined(by).await?;
        let mut logged = Vec::new();
        if let Some(event_id) = fully_read {
            logged.extend(self.fully_read(by, &event_id, backwards).await?);
        }
        for (kind, event_id) in [("m.read", read), ("m.read.private", read_private)] {
            if let Some(event_id) = event_id {
                logged.extend(
                    self.receipt(by, kind, &event_id, &ReceiptThread::Unthreaded)
                        .await?,
                );
            }
        }
        self.write_logged(logged).await
    }

    /// The marker, unless it is at a later event already and may not go back, or the event is of another room.
    async fn fully_read(
        &self,
        by: &Requester,
        event_id: &EventId,
        backwards: Backwards,
    ) -> Result<Option<Logged>> {
        let Some(new) = self.place_of(event_id).await? else {
            return Ok(None);
        };
        let (db, room) = (self.context.store.reader(), self.meta.row);
        let earlier = account_data::find(db, &by.user_id, Some(room), FULLY_READ).await?;
        let earlier = earlier.and_then(|json| serde_json::from_str::<Value>(&json).ok());
        let earlier = earlier.and_then(|marker| EventId::parse(marker["event_id"].as_str()?).ok());
        if let Some(earlier) = earlier.filter(|_| backwards == Backwards::Ignored) {
            let old = self.position_of(&earlier).await?;
            if new.is_some() && new <= old {
                return Ok(None);
            }
        }
        Ok(Some(Logged::AccountData(NewAccountData {
            user_id: by.user_id.clone(),
            room: Some(room),
            event_type: FULLY_READ.to_owned(),
            content: json!({ "event_id": event_id }).to_string(),
        })))
    }

    /// Whether a receipt for an event may name a thread: client-server API, "Threaded read receipts". Of an event that is
    /// not here nobody knows, so that it may.
    ///
    /// As with Synapse the root of a thread and what relates to it may be read in either timeline, and only what says
    /// itself that it is in a thread may not be read in the main one.
    async fn check_thread(&self, event_id: &EventId, thread: &ReceiptThread) -> Result<()> {
        if *thread == ReceiptThread::Unthreaded {
            return Ok(());
        }
        let related = relations::of_ids(self.context.store.reader(), &[event_id]).await?;
        let mut related = related
            .iter()
            .filter(|related| related.room == self.meta.row);
        let related = related.next();
        let fits = match (thread, related) {
            (ReceiptThread::Thread(root), _) if root == event_id => true,
            (ReceiptThread::Thread(root), Some(related)) => {
                let threads = self.threads_of_ids(&[event_id]).await?;
                related.parent == root.as_str() || threads.get(event_id) == Some(root)
            }
            (ReceiptThread::Thread(_), None) => self.position_of(event_id).await?.is_none(),
            (_, related) => related.is_none_or(|related| related.rel_type != THREAD),
        };
        if fits {
            Ok(())
        } else {
            Err(Error::InvalidParam(format!(
                "The event does not belong to the thread {}",
                thread.as_str()
            )))
        }
    }

    /// The receipt, unless the user has read further already, or the event is of another room.
    async fn receipt(
        &self,
        by: &Requester,
        kind: &str,
        event_id: &EventId,
        thread: &ReceiptThread,
    ) -> Result<Option<Logged>> {
        let Some(new) = self.place_of(event_id).await? else {
            return Ok(None);
        };
        let db = self.context.store.reader();
        let earlier = receipts::of_user(db, self.meta.row, &by.user_id).await?;
        let same = |earlier: &receipts::StoredReceipt| {
            earlier.kind == kind && earlier.thread_id == thread.as_str()
        };
        if let Some(earlier) = earlier.into_iter().find(same)
            && let Ok(earlier) = EventId::parse(earlier.event_id)
        {
            let old = self.position_of(&earlier).await?;
            if new.is_some() && new <= old {
                return Ok(None);
            }
        }
        Ok(Some(Logged::Receipt(NewReceipt {
            room: self.meta.row,
            room_id: self.meta.id.clone(),
            user_id: by.user_id.clone(),
            kind: kind.to_owned(),
            thread_id: thread.as_str().to_owned(),
            event_id: event_id.to_owned(),
            ts: self.context.clock.now_ms(),
        })))
    }

    /// Takes in receipts of other servers' users, but for those that say less than what is known, or name an event of
    /// another room: events that are here are compared by their place, others by the time of the receipt.
    pub(crate) async fn take_receipts(&self, receipts: Vec<NewReceipt>) -> Result<()> {
        let db = self.context.store.reader();
        let users: Vec<&UserId> = receipts.iter().map(|new| &*new.user_id).collect();
        let earlier = receipts::of_users(db, self.meta.row, &users).await?;
        let known = earlier
            .iter()
            .filter_map(|earlier| <&EventId>::try_from(earlier.event_id.as_str()).ok());
        let ids: Vec<&EventId> = receipts
            .iter()
            .map(|new| &*new.event_id)
            .chain(known)
            .collect();
        let (here, elsewhere): (Vec<_>, Vec<_>) = events::by_ids(db, &ids)
            .await?
            .into_iter()
            .partition(|event| event.room == self.meta.row);
        let elsewhere: HashSet<String> =
            elsewhere.into_iter().map(|event| event.event_id).collect();
        let places: HashMap<String, Position> = here
            .into_iter()
            .filter_map(|event| Some((event.event_id, event.position?)))
            .collect();
        let is_news = |new: &NewReceipt| {
            if elsewhere.contains(new.event_id.as_str()) {
                return false;
            }
            let same = earlier.iter().find(|earlier| {
                earlier.user_id == new.user_id.as_str()
                    && earlier.kind == new.kind
                    && earlier.thread_id == new.thread_id
            });
            let Some(earlier) = same else {
                return true;
            };
            let place = |id: &str| places.get(id).copied();
            match (place(&earlier.event_id), place(new.event_id.as_str())) {
                (Some(old), Some(new)) => new > old,
                _ => new.ts > earlier.ts,
            }
        };
        let logged = receipts.iter().filter(|new| is_news(new)).cloned();
        let logged = logged.map(Logged::Receipt).collect();
        self.write_logged(logged).await
    }

    /// Where an event stands, if it is here and has a place: one that is not here at all may come yet. `None`: it is of another
    /// room, so that nobody reads up to it in this one.
    async fn place_of(&self, event_id: &EventId) -> Result<Option<Option<Position>>> {
        let stored = events::by_id(self.context.store.reader(), event_id).await?;
        Ok(match stored {
            None => Some(None),
            Some(stored) => (stored.room == self.meta.row).then_some(stored.position),
        })
    }

    /// Where an event of this room stands; `None` for one that the room does not have.
    async fn position_of(&self, event_id: &EventId) -> Result<Option<Position>> {
        Ok(self.place_of(event_id).await?.flatten())
    }

    async fn write_logged(&self, logged: Vec<Logged>) -> Result<()> {
        if !logged.is_empty() {
            self.context
                .store
                .write(Write {
                    logged,
                    ..Write::default()
                })
                .await?;
        }
        Ok(())
    }

    /// Shows the user as typing for a while; `None`: no longer.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user is not in the room.
    pub async fn set_typing(
        &self,
        by: &Requester,
        timeout: Option<std::time::Duration>,
    ) -> Result<()> {
        self.require_joined(by).await?;
        match timeout {
            Some(timeout) => self
                .context
                .typing
                .start(self.meta.row, &by.user_id, timeout),
            None => self.context.typing.stop(self.meta.row, &by.user_id),
        }
        self.context.presence.active(&by.user_id);
        Ok(())
    }
}
