//! Who of our users types, for the other servers: server-server API, "Typing Notifications".

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ruma::OwnedUserId;
use storage::{Position, RoomRow};
use tokio::time::Instant;

use super::{Inner, Result};

/// How often it is repeated that somebody types: others take it as over when they hear nothing for 30 seconds or more.
const REPEAT: Duration = Duration::from_secs(25);

/// What others have been told last.
pub(super) struct Typing {
    /// The number of the last change that was looked at.
    seen: i64,
    told: BTreeMap<(RoomRow, OwnedUserId), Instant>,
}

impl Typing {
    /// Nobody has been told anything.
    pub(super) fn new() -> Self {
        Self {
            seen: i64::MAX,
            told: BTreeMap::new(),
        }
    }

    /// Tells others what has changed, and again what has not changed for some time.
    pub(super) async fn tell(&mut self, inner: &Arc<Inner>, at: Position) -> Result<()> {
        let (last, changed) = inner.engine.typing_since(self.seen);
        self.seen = last;
        for (room, users) in changed {
            let now: BTreeSet<OwnedUserId> = users.into_iter().collect();
            for user in &now {
                let is_news = !self.told.contains_key(&(room, user.clone()));
                if is_news {
                    self.say(inner, at, room, user, true).await?;
                }
            }
            for user in self.told_in(room).difference(&now) {
                self.say(inner, at, room, user, false).await?;
            }
        }
        let due: Vec<_> = self
            .told
            .iter()
            .filter(|(_, since)| since.elapsed() >= REPEAT)
            .map(|(key, _)| key.clone())
            .collect();
        for (room, user) in due {
            self.say(inner, at, room, &user, true).await?;
        }
        Ok(())
    }

    fn told_in(&self, room: RoomRow) -> BTreeSet<OwnedUserId> {
        let told = self.told.keys().filter(|(of, _)| *of == room);
        told.map(|(_, user)| user.clone()).collect()
    }

    async fn say(
        &mut self,
        inner: &Arc<Inner>,
        at: Position,
        room: RoomRow,
        user: &OwnedUserId,
        typing: bool,
    ) -> Result<()> {
        let key = (room, user.clone());
        match typing {
            true => drop(self.told.insert(key, Instant::now())),
            false => drop(self.told.remove(&key)),
        }
        let push = |edus: &mut super::edus::Edus, room_id| {
            edus.typing(room_id, user.to_string(), typing);
        };
        inner.push_edu(room, Position(at.get() + 1), push).await
    }
}
