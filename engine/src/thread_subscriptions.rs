//! The threads that users follow: MSC4306.

use ruma::{EventId, UserId};
use spec::json::Value;
use storage::{Plain, Write, thread_subscriptions};

use crate::{Engine, Error, Requester, Result, Subject, events::Placed, rooms::RoomHandle};

impl Engine {
    /// Whether the client, and not the user, has decided that the user follows a thread.
    ///
    /// # Errors
    /// [`Error::NotFound`]: the user does not follow it, or there is no such thread for them to see.
    pub async fn is_thread_automatic(
        &self,
        by: &Requester,
        room: &ruma::RoomId,
        root: &EventId,
    ) -> Result<bool> {
        let room = self.thread(by, room, root).await?;
        let db = self.context.store.reader();
        let found = thread_subscriptions::one(db, &by.user_id, room.meta.row, root).await?;
        let found = found.filter(|found| found.subscribed);
        Ok(found
            .ok_or(Error::NotFound(Subject::ThreadSubscription))?
            .automatic)
    }

    /// Has the user follow a thread: because they wish it, or because of an event in it (`cause`). What they wish stands
    /// above that.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such thread for the user to see. [`Error::NotInThread`]: the cause is not in it.
    /// [`Error::Unsubscribed`]: the user has stopped to follow it after the cause.
    pub async fn subscribe_thread(
        &self,
        by: &Requester,
        room: &ruma::RoomId,
        root: &EventId,
        cause: Option<&EventId>,
    ) -> Result<()> {
        let room = self.thread(by, room, root).await?;
        let cause = match cause {
            Some(cause) => Some(room.cause(by, root, cause).await?),
            None => None,
        };
        let _alone = self.accounts().alone(&by.user_id).await;
        let db = self.context.store.reader();
        let earlier = thread_subscriptions::one(db, &by.user_id, room.meta.row, root).await?;
        if let (Some(earlier), Some(cause)) = (&earlier, &cause) {
            if earlier.subscribed {
                return Ok(());
            }
            if cause.spot.anchor <= earlier.position {
                return Err(Error::Unsubscribed);
            }
        }
        self.put_subscription(&by.user_id, &room, root, (true, cause.is_some()))
            .await
    }

    /// Has the user follow a thread no more. It is not missed if they do not.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such thread for the user to see.
    pub async fn unsubscribe_thread(
        &self,
        by: &Requester,
        room: &ruma::RoomId,
        root: &EventId,
    ) -> Result<()> {
        let room = self.thread(by, room, root).await?;
        let _alone = self.accounts().alone(&by.user_id).await;
        let db = self.context.store.reader();
        let earlier = thread_subscriptions::one(db, &by.user_id, room.meta.row, root).await?;
        if earlier.is_none_or(|earlier| !earlier.subscribed) {
            return Ok(());
        }
        self.put_subscription(&by.user_id, &room, root, (false, false))
            .await
    }

    /// The room of a thread whose first event the user can see.
    async fn thread(
        &self,
        by: &Requester,
        room: &ruma::RoomId,
        root: &EventId,
    ) -> Result<RoomHandle> {
        let room = self.room(room).await?;
        room.event(by, root).await?;
        Ok(room)
    }

    async fn put_subscription(
        &self,
        user_id: &UserId,
        room: &RoomHandle,
        root: &EventId,
        (subscribed, automatic): (bool, bool),
    ) -> Result<()> {
        let store = &self.context.store;
        let row = thread_subscriptions::ThreadSubscription {
            user_id: user_id.to_string(),
            room: room.meta.row,
            thread_root: root.to_string(),
            subscribed,
            automatic,
            position: store.position(),
        };
        store
            .write(Write::plain(vec![Plain::ThreadSubscription(row)]))
            .await?;
        Ok(())
    }
}

impl RoomHandle {
    /// An event for whose sake the user is to follow a thread.
    async fn cause(&self, by: &Requester, root: &EventId, cause: &EventId) -> Result<Placed> {
        match self.event(by, cause).await {
            Err(Error::NotFound(_)) => return Err(Error::NotInThread),
            seen => drop(seen?),
        }
        let placed = self.placed(cause).await?.ok_or(Error::NotInThread)?;
        let relation = placed.event.content().get("m.relates_to");
        let relation = relation.and_then(Value::as_object);
        let text = |key: &str| relation.and_then(|relation| relation.get(key)?.as_str());
        let in_thread =
            text("rel_type") == Some("m.thread") && text("event_id") == Some(root.as_str());
        if in_thread {
            Ok(placed)
        } else {
            Err(Error::NotInThread)
        }
    }
}
