//! Telling push gateways, and the push services of browsers, of one event after another.

use ruma::{OwnedUserId, UserId};
use storage::{RoomRow, pushers::Pusher};
use tokio::time::Instant;

use super::{
    deliver::succeeded,
    gateway::{Gateways, PushService},
    kind::PusherKind,
    payload::{self, Notification},
    reading::Readings,
};
use crate::{Result, context::Context};

/// How a pusher is reached.
pub(super) struct Way<'a> {
    pub(super) gateways: &'a dyn Gateways,
    pub(super) kind: PusherKind,
    /// When it is another's turn.
    pub(super) until: Instant,
}

/// What came of telling.
enum Answer {
    Taken,
    /// There is nobody any more who could be told.
    Gone,
}

impl Context {
    /// Tells one pusher what it does not know, oldest first, until that fails or it is another user's turn.
    pub(super) async fn push(
        &self,
        way: &Way<'_>,
        user: &OwnedUserId,
        mut pusher: Pusher,
    ) -> Result<()> {
        loop {
            let page = self.pending(user, pusher.done).await?;
            for row in page.rows {
                if let Some(shown) = self.shown(user, &row).await? {
                    let badge = self.badge(user).await?;
                    let notification = payload::of_event(&pusher, &shown, badge)?;
                    if !self.tell(way, user, &mut pusher, notification).await? {
                        return Ok(());
                    }
                }
                pusher.done = row.position;
                if Instant::now() >= way.until {
                    self.deliveries.wake([user.clone()]);
                    return self.keep(&pusher).await;
                }
            }
            pusher.done = pusher.done.max(page.end);
            // What came meanwhile is told before the count that has it.
            if page.last && self.scores.last() <= page.end {
                break;
            }
        }
        // How much is unread, if that has changed and nothing else tells it.
        let badge = self.badge(user).await?;
        if badge != pusher.badge && !payload::wants_only_events(&pusher)? {
            let notification = payload::of_count(&pusher, badge)?;
            if !self.tell(way, user, &mut pusher, notification).await? {
                return Ok(());
            }
        }
        self.keep(&pusher).await
    }

    /// How much is unread to a user in all rooms.
    async fn badge(&self, user: &UserId) -> Result<i64> {
        let readings = Readings::of(&self.store, user).await?;
        let rooms: Vec<RoomRow> = readings.rooms().collect();
        let unread = self.unread(user, &rooms).await?;
        let counts = unread.values().flat_map(|tally| tally.threads.values());
        Ok(counts.map(|count| count.notifications).sum())
    }

    /// Tells a pusher and notes what came of it. Answers whether to go on with it.
    async fn tell(
        &self,
        way: &Way<'_>,
        user: &UserId,
        pusher: &mut Pusher,
        notification: Notification,
    ) -> Result<bool> {
        let unread = notification.unread;
        let now_ms = self.clock.steady_ms();
        let answer = match way.kind {
            PusherKind::Web => {
                let push = self.web_push(pusher, &notification).await?;
                let answer = way.gateways.push_to_browser(push).await;
                answer.map(|answer| match answer {
                    PushService::Taken => Answer::Taken,
                    PushService::Gone => Answer::Gone,
                })
            }
            PusherKind::Http | PusherKind::Email => {
                let answer = way
                    .gateways
                    .notify(payload::url(pusher)?, notification.whole());
                answer.await.map(|answer| {
                    match payload::rejected(&answer).contains(&pusher.pushkey) {
                        true => Answer::Gone,
                        false => Answer::Taken,
                    }
                })
            }
        };
        match answer {
            Ok(Answer::Gone) => {
                self.drop_pusher(user, pusher).await?;
                Ok(false)
            }
            Ok(Answer::Taken) => {
                succeeded(pusher);
                pusher.badge = unread;
                Ok(true)
            }
            Err(error) => self.failed(pusher, now_ms, &error).await,
        }
    }
}
