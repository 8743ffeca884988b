//! The threads that users follow: MSC4306.

use ruma::{EventId, OwnedEventId, OwnedRoomId, UserId};
use spec::json::Value;
use storage::{Limit, Logged, Position, Write, thread_subscriptions, write::NewThreadSubscription};

use crate::{
    Engine, Error, Requester, Result, Subject,
    context::Context,
    events::Placed,
    rooms::RoomHandle,
    sync::{sliding::Pos, token::SyncToken},
};

/// How many changes a page has at most.
const PAGE_MAX: u64 = 512;

/// A change: a user follows a thread from now on, or no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSubscriptionChange {
    /// Where.
    pub room_id: OwnedRoomId,
    /// The event that the thread begins with.
    pub thread_root: OwnedEventId,
    /// Whether they follow it, and then whether the client has decided that; `None`: no more.
    pub automatic: Option<bool>,
    /// Of two changes of one thread, the one with the larger stamp is the newer one.
    pub bump_stamp: i64,
}

/// Changes, the newest of each thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadSubscriptionChanges {
    /// The newest ones, in no order.
    pub changes: Vec<ThreadSubscriptionChange>,
    /// Where older ones are, as `from` of [`Engine::thread_subscriptions`]; `None`: there are none.
    pub before: Option<String>,
}

impl Context {
    /// What has changed for a user after `after` (exclusive) up to `to` (inclusive): the newest `limit` changes. No query for
    /// what is in memory, if that is nothing.
    pub(crate) async fn thread_subscriptions(
        &self,
        user_id: &UserId,
        (after, to): (Position, Position),
        limit: u64,
    ) -> Result<ThreadSubscriptionChanges> {
        let own = |logged: &Logged| matches!(logged, Logged::ThreadSubscription(new) if new.user_id == *user_id);
        if self
            .notifier
            .recent(after, to, own)
            .is_some_and(|recent| recent.is_empty())
        {
            return Ok(ThreadSubscriptionChanges::default());
        }
        let limit = limit.clamp(1, PAGE_MAX);
        let db = self.store.reader();
        let found =
            thread_subscriptions::changed(db, user_id, after, to, Limit::new(limit)).await?;
        let full = found.len() as u64 == limit;
        let before = found.last().filter(|_| full);
        let before = before.map(|oldest| (oldest.position.get() - 1).to_string());
        let mut changes = Vec::with_capacity(found.len());
        for stored in found {
            let meta = self.metas.by_row(stored.room).await?;
            let root = EventId::parse(&*stored.thread_root)
                .map_err(|error| Error::Internal(format!("a stored thread: {error}")))?;
            changes.push(ThreadSubscriptionChange {
                room_id: meta.id.clone(),
                thread_root: root,
                automatic: stored.subscribed.then_some(stored.automatic),
                bump_stamp: stored.position.get(),
            });
        }
        Ok(ThreadSubscriptionChanges { changes, before })
    }
}

/// A place among the changes: one that this server gave out for it, or of sync.
fn place(token: &str) -> Result<Position> {
    let of_sync = || Some(token.parse::<SyncToken>().ok()?.position);
    let sliding = || Some(token.parse::<Pos>().ok()?.token.position);
    let own = token.parse().ok().map(Position);
    own.or_else(sliding)
        .or_else(of_sync)
        .ok_or_else(|| Error::InvalidParam("The token is not one of this server's".to_owned()))
}

impl Engine {
    /// What has changed about the threads that the user follows, from the newest change back (MSC4308): after `to` and up to
    /// `from`, at most `limit` or 512.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: a token that is none of this server's.
    pub async fn thread_subscriptions(
        &self,
        by: &Requester,
        (from, to): (Option<&str>, Option<&str>),
        limit: u64,
    ) -> Result<ThreadSubscriptionChanges> {
        let end = from.map_or(Ok(Position::MAX), place)?;
        let start = to.map_or(Ok(Position::MIN), place)?;
        let end = end.min(self.context.notifier.position());
        let context = &self.context;
        context
            .thread_subscriptions(&by.user_id, (start, end), limit)
            .await
    }

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

    /// Has the user follow a thread, and hear of no others that nobody mentions them in: because they wish it, or because of an event in it (`cause`). What they wish stands
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
        self.accounts().tell_threads_apart(&by.user_id).await?;
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
        let new = NewThreadSubscription {
            user_id: user_id.to_owned(),
            room: room.meta.row,
            thread_root: root.to_owned(),
            subscribed,
            automatic,
        };
        let write = Write::logged(Logged::ThreadSubscription(new));
        self.context.store.write(write).await?;
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
