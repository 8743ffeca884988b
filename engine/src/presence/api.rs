//! What clients and other servers ask of presence.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{OwnedUserId, ServerName, UserId};
use spec::{
    json::{Object, Value},
    name::may_be_surfaced,
    object,
};
use storage::RoomRow;

use super::{
    Presence, PresenceNews, PresenceState, Shown,
    person::{Update, Word},
    table::meet,
};
use crate::{Engine, Error, Requester, Result, inbound::Inbound};

/// The longest status message, in bytes.
const STATUS_BYTES_MAX: usize = 2_048;

/// How many users one event of another server may speak of; the rest is left out.
const PUSH_MAX: usize = 200;

/// What somebody may know of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceStatus {
    /// What the user is.
    pub state: PresenceState,
    /// What the user says about it.
    pub status_msg: Option<String>,
    /// How long ago the user did something, in milliseconds.
    pub last_active_ago_ms: Option<i64>,
    /// Whether that was in the last minute.
    pub currently_active: Option<bool>,
}

impl PresenceStatus {
    pub(crate) fn new(shown: Shown, now_ms: i64) -> Self {
        let ago = |at: i64| now_ms.saturating_sub(at).max(0);
        let is_there = shown.state != PresenceState::Offline;
        Self {
            state: shown.state,
            status_msg: shown.status_msg,
            last_active_ago_ms: shown.last_active_ms.map(ago),
            currently_active: is_there.then_some(shown.currently_active),
        }
    }

    /// As it travels: `m.presence`, without whose it is.
    pub(crate) fn content(&self) -> Object {
        let mut content = object! { "presence" => self.state.as_str() };
        if let Some(message) = &self.status_msg {
            content.insert("status_msg".to_owned(), message.as_str().into());
        }
        if let Some(ago_ms) = self.last_active_ago_ms {
            content.insert("last_active_ago".to_owned(), ago_ms.into());
        }
        if let Some(active) = self.currently_active {
            content.insert("currently_active".to_owned(), active.into());
        }
        content
    }
}

impl Engine {
    /// What a user is, for those who share a room with them that is not quiet. Where presence is switched off everybody is offline.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: they share none.
    pub async fn presence(&self, by: &Requester, user: &UserId) -> Result<PresenceStatus> {
        let presence = &self.context.presence;
        if !presence.settings.enabled {
            return Ok(PresenceStatus::default());
        }
        if user != by.user_id && !presence.is_seen_by(&by.user_id, user).await? {
            return Err(Error::Forbidden(
                "You share no room with this user in which it is seen who is there".to_owned(),
            ));
        }
        let shown = presence.shown(user).unwrap_or_default();
        Ok(PresenceStatus::new(shown, self.context.clock.now_ms()))
    }

    /// Says what the user is on this device, and what they say about it; `None` takes back what they said.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: the message is too long.
    pub fn set_presence(
        &self,
        by: &Requester,
        state: PresenceState,
        status_msg: Option<String>,
    ) -> Result<()> {
        if status_msg
            .as_ref()
            .is_some_and(|text| text.len() > STATUS_BYTES_MAX)
        {
            return Err(Error::InvalidParam(format!(
                "The status message has more than {STATUS_BYTES_MAX} bytes"
            )));
        }
        let presence = &self.context.presence;
        if state == PresenceState::Offline && presence.shown(&by.user_id).is_none() {
            return Ok(());
        }
        presence.set(&by.user_id, by.device(), state, status_msg);
        Ok(())
    }

    /// Stores who is there, for the next start. To be called when nobody is served any more.
    pub async fn store_presence(&self) {
        self.context.presence.store_all().await;
    }

    /// Keeps presence up to date. Never returns; to be run in the background. While nobody is there it does nothing.
    pub async fn run_presence(&self) {
        self.context.presence.run().await;
    }

    /// The presence of this server's users that has changed after `since`, for other servers; and the number to ask with
    /// the next time.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn presence_since(&self, since: i64) -> Result<(i64, Vec<PresenceNews>)> {
        let last = self.context.ephemeral.last();
        let changed = self.context.presence.changed_since(since);
        Ok((last, self.presence_news(changed).await?))
    }

    /// That of all users of this server who are there.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn presence_of_all(&self) -> Result<Vec<PresenceNews>> {
        self.presence_news(self.context.presence.present()).await
    }

    async fn presence_news(&self, mut users: Vec<OwnedUserId>) -> Result<Vec<PresenceNews>> {
        let presence = &self.context.presence;
        if !presence.settings.to_other_servers {
            return Ok(Vec::new());
        }
        users.retain(|user| user.server_name() == self.context.server_name);
        let rooms = presence.rooms_of(&users).await?;
        let now_ms = self.context.clock.now_ms();
        let news = rooms.into_iter().filter_map(|(user_id, rooms)| {
            let status = PresenceStatus::new(presence.shown(&user_id)?, now_ms);
            let mut update = status.content();
            update.insert("user_id".to_owned(), user_id.as_str().into());
            Some(PresenceNews {
                user_id,
                update,
                rooms,
            })
        });
        Ok(news.collect())
    }
}

impl Inbound {
    /// `push`: what another server says of its users. Only those are taken in who are in a room here, or may be in one
    /// that this server is entering: its servers are told of the join first, and speak at once.
    pub(crate) async fn presence(&self, origin: &ServerName, content: &Object) -> Result<()> {
        let context = &self.rooms.context;
        let presence = &context.presence;
        if !presence.settings.enabled || !presence.settings.from_other_servers {
            return Ok(());
        }
        let push = content.get("push").and_then(Value::as_array);
        let now_ms = context.clock.now_ms();
        let words: Vec<(OwnedUserId, Word)> = push
            .into_iter()
            .flatten()
            .take(PUSH_MAX)
            .filter_map(|update| word(origin, update, now_ms))
            .collect();
        let users: Vec<OwnedUserId> = words.iter().map(|(user, _)| user.clone()).collect();
        let is_entering = context.handshakes.is_entering();
        let rooms = presence.rooms_of(&users).await?;
        for (user, word) in words {
            let is_here = is_entering || rooms.get(&user).is_some_and(|rooms| !rooms.is_empty());
            let is_news = word.state != PresenceState::Offline || presence.shown(&user).is_some();
            if is_here && is_news {
                presence.hear(&user, word, now_ms);
            }
        }
        Ok(())
    }
}

impl Presence {
    fn hear(&self, user: &UserId, word: Word, now_ms: i64) {
        self.change(user, |person| {
            person.heard(word, now_ms);
            Update::OfOthers
        });
    }

    /// Of these users those who share one of `joined` with whoever asks, or who are that user.
    pub(crate) async fn sharing(
        &self,
        by: &UserId,
        users: BTreeSet<OwnedUserId>,
        joined: &BTreeSet<RoomRow>,
    ) -> Result<Vec<OwnedUserId>> {
        let users: Vec<OwnedUserId> = users.into_iter().collect();
        let rooms = self.rooms_of(&users).await?;
        let shares = |user: &OwnedUserId| {
            let rooms: Option<&Arc<BTreeSet<RoomRow>>> = rooms.get(user);
            let is_shared = rooms.is_some_and(|rooms| meet(rooms, joined));
            is_shared || user == by
        };
        Ok(users.iter().filter(|user| shares(user)).cloned().collect())
    }
}

/// One entry of `push`, if it is about a user of that server.
fn word(origin: &ServerName, update: &Value, now_ms: i64) -> Option<(OwnedUserId, Word)> {
    let text = |key: &str| update.get(key).and_then(Value::as_str);
    let user = UserId::parse(text("user_id")?).ok()?;
    if user.server_name() != origin || !may_be_surfaced(&user) {
        return None;
    }
    let ago_ms = update.get("last_active_ago").and_then(Value::as_i64);
    let status_msg = text("status_msg").filter(|text| text.len() <= STATUS_BYTES_MAX);
    let active = update.get("currently_active").and_then(Value::as_bool);
    let word = Word {
        state: PresenceState::parse(text("presence")?)?,
        status_msg: status_msg.map(str::to_owned),
        last_active_ms: ago_ms.map(|ago_ms| now_ms.saturating_sub(ago_ms.max(0))),
        currently_active: active.unwrap_or_default(),
    };
    Some((user, word))
}
