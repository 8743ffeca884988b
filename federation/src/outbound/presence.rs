//! Which of our users are there, for the servers that share rooms with them: server-server API, "Presence".

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use engine::PresenceNews;
use ruma::{OwnedServerName, OwnedUserId};
use spec::json::Value;
use storage::{Position, RoomRow};
use tokio::time::Instant;

use super::{Inner, Result};

/// How long changes are gathered, so that somebody who comes and goes does not cost a transaction each time.
const GATHER: Duration = Duration::from_secs(1);

/// How often it is repeated who is there: others take servers as gone that are silent for half an hour.
const REPEAT: Duration = Duration::from_secs(25 * 60);

/// What others have been told last.
pub(super) struct Presence {
    /// The number of the last change that was looked at.
    seen: i64,
    looked: Instant,
    repeated: Instant,
    /// State and message of those who are there. That somebody did nothing for a minute is not worth a transaction.
    told: BTreeMap<OwnedUserId, Said>,
}

/// What somebody is, and what they say about it.
type Said = (Option<Value>, Option<Value>);

impl Presence {
    /// Nobody has been told anything.
    pub(super) fn new() -> Self {
        Self {
            seen: i64::MAX,
            looked: Instant::now(),
            repeated: Instant::now(),
            told: BTreeMap::new(),
        }
    }

    /// Tells others what has changed; those who came into a room together with our users what they missed.
    pub(super) async fn tell(&mut self, inner: &Arc<Inner>, at: Position) -> Result<()> {
        if self.looked.elapsed() < GATHER {
            return Ok(());
        }
        self.looked = Instant::now();
        let joins = inner.news.take_joins();
        let (last, changed) = inner.engine.presence_since(self.seen).await?;
        self.seen = last;
        for news in &changed {
            if self.is_news(news) {
                inner.tell_presence(at, news, &news.rooms, None).await?;
            }
        }
        if self.repeated.elapsed() >= REPEAT {
            self.repeated = Instant::now();
            for news in inner.engine.presence_of_all().await? {
                inner.tell_presence(at, &news, &news.rooms, None).await?;
            }
        }
        if !joins.is_empty() {
            inner.introduce(at, joins).await?;
        }
        Ok(())
    }

    /// Whether something else was said last. Remembers what is said now.
    fn is_news(&mut self, news: &PresenceNews) -> bool {
        let field = |name: &str| news.update.get(name).cloned();
        let said = (field("presence"), field("status_msg"));
        let is_gone = said.0.as_ref().and_then(Value::as_str) == Some("offline");
        let before = match is_gone {
            true => self.told.remove(&news.user_id),
            false => self.told.insert(news.user_id.clone(), said.clone()),
        };
        before != Some(said)
    }
}

impl Inner {
    /// Tells the servers in some rooms, or of them only one, about one user.
    async fn tell_presence(
        self: &Arc<Self>,
        at: Position,
        news: &PresenceNews,
        rooms: &BTreeSet<RoomRow>,
        only: Option<&OwnedServerName>,
    ) -> Result<()> {
        let mut servers = BTreeSet::new();
        for room in rooms {
            let audience = self.engine.servers_now(*room).await?;
            servers.extend(audience.servers().cloned());
        }
        servers.remove(&self.own);
        for server in &servers {
            if only.is_none_or(|only| only == server) {
                self.push(server, Position(at.get() + 1), |queue| {
                    queue.push_edu(|edus| {
                        edus.presence(news.user_id.to_string(), news.update.clone());
                    });
                });
            }
        }
        Ok(())
    }

    /// Who joined a room meets those who are there.
    async fn introduce(
        self: &Arc<Self>,
        at: Position,
        joins: BTreeSet<(RoomRow, OwnedUserId)>,
    ) -> Result<()> {
        let all = self.engine.presence_of_all().await?;
        for (room, user) in joins {
            let here = BTreeSet::from([room]);
            if user.server_name() == self.own {
                let here_too =
                    |news: &&PresenceNews| news.user_id == user && news.rooms.contains(&room);
                if let Some(news) = all.iter().find(here_too) {
                    self.tell_presence(at, news, &here, None).await?;
                }
            } else {
                let server = user.server_name().to_owned();
                for news in all.iter().filter(|news| news.rooms.contains(&room)) {
                    self.tell_presence(at, news, &here, Some(&server)).await?;
                }
            }
        }
        Ok(())
    }
}
