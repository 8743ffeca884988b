//! Following the log: what each entry of it changes for the counts of this server's users.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, UserId};
use spec::event::Event;
use storage::{
    EventRow, Limit, Logged, Plain, Position, RoomRow, SnapshotRow, events,
    members::Membership,
    notifications::{self, Reading},
    receipts,
    timeline::Spot,
    write::{NewEvent, NewMembership, Outcome as Fate},
};

use super::{
    personal::IGNORED_USERS,
    rules::PUSH_RULES,
    scores::{Change, Followed, is_local},
};
use crate::{Result, context::Context, room::new_membership};

/// How many stored events are read at once.
const PAGE: u64 = 500;

/// An event of the log.
pub(super) struct News<'a> {
    pub(super) position: Position,
    pub(super) room: RoomRow,
    pub(super) row: EventRow,
    pub(super) event: &'a Event,
    pub(super) fate: Fate,
    /// The state before it.
    pub(super) snapshot: Option<SnapshotRow>,
    /// The state of the room with it.
    pub(super) current: Option<SnapshotRow>,
    pub(super) replaces: Option<EventRow>,
    /// Whether nothing of it is to be seen any more.
    pub(super) redacted: bool,
    /// What it makes of a user of this server.
    pub(super) member: Option<NewMembership>,
}

impl Context {
    /// Follows these entries. One that cannot be followed is left out, so that it does not hold up all others.
    pub(super) async fn follow(&self, entries: &[(Position, Arc<Logged>)]) -> Followed {
        let mut followed = Followed::default();
        for (position, logged) in entries {
            let done = match logged.as_ref() {
                Logged::Event(new) => match self.news(*position, new).await {
                    Ok(news) => self.follow_event(news, &mut followed).await,
                    Err(error) => Err(error),
                },
                Logged::Receipt(new) => {
                    let thread = (new.thread_id.as_str(), &*new.event_id);
                    self.follow_receipt(*position, new.room, &new.user_id, thread, &mut followed)
                        .await
                }
                Logged::ThreadSubscription(_) => Ok(()),
                Logged::AccountData(new) => {
                    let personal = [PUSH_RULES, IGNORED_USERS].contains(&new.event_type.as_str());
                    if personal && new.room.is_none() {
                        self.personal_changes(&new.user_id).await
                    } else {
                        Ok(())
                    }
                }
            };
            report(*position, done);
        }
        followed
    }

    /// The same from the store, for entries after `at` up to `end`: at most a page of them. Answers how far it came.
    pub(super) async fn follow_stored(
        &self,
        at: Position,
        end: Position,
    ) -> Result<(Position, Followed)> {
        let db = self.store.reader();
        // Rules may have changed in what was missed.
        self.forget_personal();
        let stored = notifications::news(db, at, end, Limit::new(PAGE)).await?;
        let last = stored.last().and_then(|event| event.position);
        let reached = match last {
            Some(last) if stored.len() as u64 == PAGE => last,
            _ => end,
        };
        let mut receipts = receipts::changed(db, at, reached)
            .await?
            .into_iter()
            .peekable();
        let unreadable = self.metas.unreadable().await?;
        let mut followed = Followed::default();
        for event in stored {
            let Some(position) = event.position.filter(|_| !unreadable.contains(&event.room))
            else {
                continue;
            };
            while let Some(receipt) = receipts.next_if(|receipt| receipt.position < position) {
                self.follow_stored_receipt(&receipt, &mut followed).await;
            }
            let meta = self.metas.by_row(event.room).await?;
            let parsed = event.parse(meta.version)?;
            let news = News {
                position,
                room: event.room,
                row: event.id,
                fate: event.outcome,
                snapshot: event.snapshot,
                current: event.current,
                replaces: event.replaces,
                redacted: event.redacted_by.is_some(),
                member: new_membership(&parsed),
                event: &parsed,
            };
            report(position, self.follow_event(news, &mut followed).await);
        }
        for receipt in receipts {
            self.follow_stored_receipt(&receipt, &mut followed).await;
        }
        Ok((reached, followed))
    }

    async fn follow_stored_receipt(
        &self,
        receipt: &receipts::StoredReceipt,
        followed: &mut Followed,
    ) {
        let user = UserId::parse(receipt.user_id.as_str());
        let event = EventId::parse(receipt.event_id.as_str());
        if let (Ok(user), Ok(event)) = (user, event) {
            let thread = (receipt.thread_id.as_str(), &*event);
            let done = self
                .follow_receipt(receipt.position, receipt.room, &user, thread, followed)
                .await;
            report(receipt.position, done);
        }
    }

    async fn news<'a>(&self, position: Position, new: &'a NewEvent) -> Result<News<'a>> {
        let found = self.events.find_many(&self.metas, &[new.row]).await?;
        Ok(News {
            position,
            room: new.room,
            row: new.row,
            event: &new.event,
            fate: new.outcome,
            snapshot: new.snapshot,
            current: new.current,
            replaces: new.replaces,
            // What has been deleted since counts as little.
            redacted: found
                .first()
                .is_none_or(|known| known.redacted_by.is_some()),
            member: new.membership.clone(),
        })
    }

    /// A receipt: its user has read up to the event. One that is not here yet is waited for.
    async fn follow_receipt(
        &self,
        position: Position,
        room: RoomRow,
        user: &UserId,
        (thread, event_id): (&str, &EventId),
        followed: &mut Followed,
    ) -> Result<()> {
        if !is_local(self, user) {
            return Ok(());
        }
        let Some(stored) = events::by_id(self.store.reader(), event_id).await? else {
            self.scores.awaited.insert(event_id.to_owned(), ());
            return Ok(());
        };
        if let Some(spot) = stored.spot().filter(|_| stored.room == room) {
            followed.reads(position, room, user, thread, read_by(spot));
        }
        Ok(())
    }

    /// Waits once more for what had been read before it came when the server stopped, as far as the last receipts tell. What
    /// has been followed long since is among it, and costs a place.
    pub(super) async fn await_again(&self) -> Result<()> {
        for receipt in receipts::latest(self.store.reader(), Limit::MAX).await? {
            if let (Ok(event_id), Ok(user)) = (
                OwnedEventId::try_from(receipt.event_id),
                UserId::parse(receipt.user_id),
            ) && is_local(self, &user)
            {
                self.scores.awaited.insert(event_id, ());
            }
        }
        Ok(())
    }

    /// Those of this server who have read an event before it came. One query if anybody may have, none otherwise.
    async fn follow_awaited(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let event_id = news.event.id();
        if self.scores.awaited.get(event_id).is_none() {
            return Ok(());
        }
        // What they have read since takes the place of it.
        let receipts = receipts::of_events(self.store.reader(), &[event_id.as_str()]).await?;
        self.scores.awaited.remove(event_id);
        for receipt in receipts.iter().filter(|receipt| receipt.room == news.room) {
            if let Ok(user) = UserId::parse(receipt.user_id.as_str())
                && is_local(self, &user)
            {
                let (thread, up_to) = (&*receipt.thread_id, news.position);
                followed.reads(news.position, news.room, &user, thread, up_to);
            }
        }
        Ok(())
    }

    async fn follow_event(&self, news: News<'_>, followed: &mut Followed) -> Result<()> {
        match news.fate {
            Fate::Accepted => self.notify(&news, followed).await?,
            // The invite to a room that this server is not in.
            Fate::Outlier if news.member.is_some() => self.notify(&news, followed).await?,
            Fate::Outlier | Fate::SoftFailed | Fate::Rejected => return Ok(()),
        }
        self.follow_awaited(&news, followed).await?;
        if news.event.event_type() == "m.room.redaction" {
            self.withdraw(&news, followed).await?;
        }
        self.follow_member(&news, followed).await
    }

    /// What is redacted notifies nobody any more.
    async fn withdraw(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let Some(target) = news.event.redacts() else {
            return Ok(());
        };
        let stored = events::by_id(self.store.reader(), target).await?;
        let redacted = stored.filter(|stored| stored.room == news.room);
        let redacted = redacted.filter(|stored| stored.redacted_by.is_some());
        let Some((row, at)) = redacted.and_then(|stored| Some((stored.id, stored.position?)))
        else {
            return Ok(());
        };
        followed.notifications.retain(|noted| noted.event != row);
        followed.plain.push(Plain::NotificationsWithdrawn {
            room: news.room,
            position: at,
        });
        let change = Change::Withdrawn {
            room: news.room,
            at,
        };
        followed.changes.push((news.position, Arc::new(change)));
        Ok(())
    }

    /// What somebody of this server has become in a room.
    async fn follow_member(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let member = news.member.as_ref();
        let Some(member) = member.filter(|member| is_local(self, &member.user_id)) else {
            return Ok(());
        };
        let (user_id, room) = (member.user_id.clone(), news.room);
        let joins = member.membership == Membership::Join;
        let was_joined = match news.replaces {
            Some(row) => is_join(&self.events.get(&self.metas, row).await?.event),
            None => false,
        };
        if joins == was_joined {
            return Ok(());
        }
        followed.plain.push(match joins {
            true => Plain::ReadingBegins {
                user_id: user_id.clone(),
                room,
                position: news.position,
            },
            false => Plain::ReadingEnds {
                user_id: user_id.clone(),
                room,
            },
        });
        self.personal_moves(room, &user_id, joins).await?;
        let change = Change::Moved {
            room,
            user: user_id,
        };
        followed.changes.push((news.position, Arc::new(change)));
        Ok(())
    }
}

impl Followed {
    /// A user has read up to a place.
    fn reads(
        &mut self,
        position: Position,
        room: RoomRow,
        user: &UserId,
        thread: &str,
        up_to: Position,
    ) {
        self.plain.push(reading(room, user, thread, up_to));
        let change = Change::Read {
            room,
            user: user.to_owned(),
            thread: thread.to_owned(),
            up_to,
        };
        self.changes.push((position, Arc::new(change)));
    }
}

/// Up to where somebody has read who has read the event at `spot`.
fn read_by(spot: Spot) -> Position {
    match spot.is_history() {
        // It stands in front of its anchor, behind all news before that.
        true => Position(spot.anchor.get() - 1),
        false => spot.position,
    }
}

pub(super) fn reading(room: RoomRow, user: &UserId, thread: &str, position: Position) -> Plain {
    Plain::Readings(vec![Reading {
        user_id: user.to_string(),
        room,
        thread: thread.to_owned(),
        position,
        since: Position::ZERO,
    }])
}

pub(super) fn is_join(event: &Event) -> bool {
    let membership = event.content().get("membership");
    membership.and_then(|membership| membership.as_str()) == Some("join")
}

fn report(position: Position, done: Result<()>) {
    if let Err(error) = done {
        let error = &error as &dyn std::error::Error;
        tracing::error!(%position, error, "an entry of the log notifies nobody");
    }
}
