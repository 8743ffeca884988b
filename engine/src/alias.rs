//! Room aliases, and which rooms the directory lists: client-server API, "Room aliases" and "Published room directory".

use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName};
use spec::{
    auth::Power,
    event::Draft,
    json::{Object, Value},
};
use storage::{Plain, Write, aliases, summaries};

use crate::{
    Error, Requester, Result, Subject,
    peers::PeerError,
    room::{Room, send::Sent},
    rooms::{RoomHandle, Rooms},
};

/// The most servers that are named for an alias of another server.
const SERVERS_MAX: usize = 100;
/// The most aliases that one canonical alias event may newly name: each may be a question to another server.
const NEW_ALIASES_MAX: usize = 50;

/// The alias of this server with a local part.
///
/// # Errors
/// [`Error::InvalidParam`]: it has white space, a colon or a NUL, or is too long.
pub(crate) fn local(server_name: &ServerName, localpart: &str) -> Result<OwnedRoomAliasId> {
    let invalid = |why: &str| {
        Err(Error::InvalidParam(format!(
            "#{localpart}:{server_name} is no room alias: {why}"
        )))
    };
    if localpart.is_empty() {
        return invalid("the part before the colon is empty");
    }
    if localpart.contains(|c: char| c.is_whitespace() || c == ':' || c == '\0' || c == '#') {
        return invalid("spaces, colons and # are not allowed before the colon");
    }
    match RoomAliasId::parse(format!("#{localpart}:{server_name}")) {
        Ok(alias) => Ok(alias),
        Err(error) => invalid(&error.to_string()),
    }
}

impl Rooms {
    /// The room that an alias of any server leads to, and servers that are in it.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nowhere. [`Error::Unreachable`]: its server does not answer.
    pub(crate) async fn find_alias(
        &self,
        alias: &RoomAliasId,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
        let own = &self.context.server_name;
        if alias.server_name() == own {
            let room = self.resolve_alias(alias).await?;
            let mut servers = self.by_id(&room).await?.servers().await?;
            servers.retain(|server| server != own);
            servers.insert(0, own.clone());
            return Ok((room, servers));
        }
        let peers = self
            .context
            .peers
            .get()
            .ok_or(Error::NotFound(Subject::Alias))?;
        match peers.query_directory(alias.server_name(), alias).await {
            Ok((room, servers)) => {
                let servers = self
                    .servers_for(&room, alias.server_name(), servers)
                    .await?;
                Ok((room, servers))
            }
            Err(PeerError::Refused { status: 404, .. }) => Err(Error::NotFound(Subject::Alias)),
            Err(error) => {
                tracing::info!(%alias, error = &error as &dyn std::error::Error, "no answer about an alias");
                Err(Error::Unreachable(format!(
                    "{} does not tell where the alias leads",
                    alias.server_name()
                )))
            }
        }
    }

    /// The servers that are in a room by what another server told, at least that one; this server comes first if it is
    /// among them.
    async fn servers_for(
        &self,
        room: &RoomId,
        told_by: &ServerName,
        mut servers: Vec<OwnedServerName>,
    ) -> Result<Vec<OwnedServerName>> {
        let own = &self.context.server_name;
        servers.retain(|server| server != own);
        servers.truncate(SERVERS_MAX);
        if servers.is_empty() {
            servers.push(told_by.to_owned());
        }
        match self.by_id(room).await {
            Ok(known) if known.is_resident().await? => servers.insert(0, own.clone()),
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(servers)
    }

    /// The room that an alias of this server leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nowhere, or it is of another server.
    pub(crate) async fn resolve_alias(&self, alias: &RoomAliasId) -> Result<OwnedRoomId> {
        let found = aliases::one(self.context.store.reader(), alias).await?;
        let found = found.ok_or(Error::NotFound(Subject::Alias))?;
        Ok(self.context.metas.by_row(found.room).await?.id.clone())
    }

    /// Makes an alias of this server for a room.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it is malformed or of another server. [`Error::AliasExists`]: it leads somewhere.
    /// [`Error::NotFound`]: no such room. [`Error::Forbidden`]: the user is not in it.
    pub(crate) async fn create_alias(
        &self,
        by: &Requester,
        alias: &RoomAliasId,
        room: &RoomId,
    ) -> Result<()> {
        let server_name = &self.context.server_name;
        if alias.server_name() != server_name {
            return Err(Error::InvalidParam(format!(
                "This server makes aliases that end in :{server_name} only"
            )));
        }
        let alias = local(server_name, alias.alias())?;
        let room = self.by_id(room).await?;
        room.require_joined(by).await?;
        if aliases::one(self.context.store.reader(), &alias)
            .await?
            .is_some()
        {
            return Err(Error::AliasExists);
        }
        let plain = Plain::Alias {
            alias,
            room: room.meta.row,
            creator: by.user_id.clone(),
        };
        match self.context.store.write(Write::plain(vec![plain])).await {
            Err(storage::Error::Conflict(_)) => Err(Error::AliasExists),
            written => Ok(written.map(|_| ())?),
        }
    }

    /// Removes an alias; where it is the room's canonical one and the user may change that, from there as well.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such alias. [`Error::Forbidden`]: the user neither made it nor may set the room's
    /// canonical alias nor administers this server.
    pub(crate) async fn delete_alias(&self, by: &Requester, alias: &RoomAliasId) -> Result<()> {
        let found = aliases::one(self.context.store.reader(), alias).await?;
        let found = found.ok_or(Error::NotFound(Subject::Alias))?;
        let room = self.by_row(found.room).await?;
        let sender = by.user_id.clone();
        let may_set_canonical = room
            .run(move |room| Box::pin(async move { room.may_set_canonical_alias(&sender).await }))
            .await?;
        if found.creator != by.user_id.as_str() && !by.admin && !may_set_canonical {
            return Err(Error::Forbidden(
                "Only who made an alias, or may set the room's main one, removes it".to_owned(),
            ));
        }
        let plain = Plain::AliasDelete {
            alias: alias.to_owned(),
        };
        self.context.store.write(Write::plain(vec![plain])).await?;
        if !may_set_canonical {
            return Ok(());
        }
        match room.drop_canonical_alias(by, alias).await {
            Err(error @ (Error::Store(_) | Error::Internal(_))) => Err(error),
            Err(error) => {
                // The alias is gone: that the room still names it, for instance because its policy server wants it so, is
                // no failure of the request.
                tracing::info!(room = %room.meta.id, %alias, %error, "a removed alias stays the main one");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl RoomHandle {
    /// Whether the directory lists the room.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_published(&self) -> Result<bool> {
        let found = summaries::one(self.context.store.reader(), self.meta.row).await?;
        Ok(found.is_some_and(|room| room.published))
    }

    /// Lists the room in the directory, or takes it out.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user neither may set the room's canonical alias nor administers this server.
    pub async fn set_published(&self, by: &Requester, published: bool) -> Result<()> {
        let sender = by.user_id.clone();
        let may = self
            .run(move |room| Box::pin(async move { room.may_set_canonical_alias(&sender).await }))
            .await?;
        if !may && !by.admin {
            return Err(Error::Forbidden(
                "Only who may set the room's main alias lists it in the directory".to_owned(),
            ));
        }
        let plain = Plain::RoomPublished {
            room: self.meta.row,
            published,
        };
        self.context.store.write(Write::plain(vec![plain])).await?;
        Ok(())
    }

    /// The aliases of this server that lead to the room.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user may read nothing of the room.
    pub async fn aliases(&self, by: &Requester) -> Result<Vec<OwnedRoomAliasId>> {
        self.access(by).await?;
        let stored = aliases::of_room(self.context.store.reader(), self.meta.row).await?;
        Ok(stored
            .into_iter()
            .filter_map(|stored| RoomAliasId::parse(stored.alias).ok())
            .collect())
    }

    /// Aliases that a canonical alias event newly names must lead to this room.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: one is malformed. [`Error::BadAlias`]: one does not lead here.
    /// [`Error::Unreachable`]: the server of one does not answer.
    pub(crate) async fn check_canonical_alias(&self, content: &Object) -> Result<()> {
        let old = match self.state_key("m.room.canonical_alias", "").await? {
            Some(key) => self.current_state().await?.get(&key).copied(),
            None => None,
        };
        let old = match old {
            Some(row) => {
                let known = self.context.events.get(&self.context.metas, row).await?;
                // What was set elsewhere may be of any shape.
                named(known.event.content()).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let new: Vec<String> = named(content)?
            .into_iter()
            .filter(|text| !old.contains(text))
            .collect();
        if new.len() > NEW_ALIASES_MAX {
            return Err(Error::InvalidParam(format!(
                "At most {NEW_ALIASES_MAX} aliases can be added at once"
            )));
        }
        for text in new {
            let alias = parsed(&text)?;
            match self.rooms.find_alias(&alias).await {
                Ok((room, _)) if room == self.meta.id => {}
                Ok(_) | Err(Error::NotFound(_)) => return Err(leads_elsewhere(&alias)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has the room's canonical alias event name `alias` no more.
    async fn drop_canonical_alias(&self, by: &Requester, alias: &RoomAliasId) -> Result<()> {
        let (sender, alias) = (by.user_id.clone(), alias.to_owned());
        let changed = self
            .run(move |room| {
                Box::pin(async move { room.drop_canonical_alias(sender, &alias).await })
            })
            .await?;
        if let Some(changed) = changed {
            changed.on_disk(self).await?;
        }
        Ok(())
    }
}

/// The canonical alias event of a new room names at most the alias that is made along with it.
///
/// # Errors
/// [`Error::InvalidParam`]: an alias is malformed. [`Error::BadAlias`]: one does not lead to the room.
pub(crate) fn check_first_canonical_alias(
    content: &Object,
    own: Option<&RoomAliasId>,
) -> Result<()> {
    for text in named(content)? {
        let alias = parsed(&text)?;
        if own != Some(&alias) {
            return Err(leads_elsewhere(&alias));
        }
    }
    Ok(())
}

impl Room {
    async fn may_set_canonical_alias(&self, user: &ruma::UserId) -> Result<bool> {
        // A room of which this server knows an invite at most has no levels here either.
        if self.membership(user).await?.as_deref() != Some("join") {
            return Ok(false);
        }
        let levels = self.power_levels()?;
        let needed = Power::Level(levels.for_event("m.room.canonical_alias", true));
        Ok(levels.user(user.as_str()) >= needed)
    }

    /// Rewrites the canonical alias event without `alias`, if it names it.
    async fn drop_canonical_alias(
        &mut self,
        sender: ruma::OwnedUserId,
        alias: &RoomAliasId,
    ) -> Result<Option<Sent>> {
        let Some(current) = self.state_event("m.room.canonical_alias", "").await? else {
            return Ok(None);
        };
        let mut content = current.event.content().clone();
        if content.get("alias").and_then(Value::as_str) == Some(alias.as_str()) {
            content.remove("alias");
        }
        if let Some(Value::Array(others)) = content.get_mut("alt_aliases") {
            others.retain(|other| other.as_str() != Some(alias.as_str()));
        }
        if content == *current.event.content() {
            return Ok(None);
        }
        let draft = Draft {
            room_id: Some(self.meta.id.clone()),
            sender,
            event_type: "m.room.canonical_alias".to_owned(),
            state_key: Some(String::new()),
            content,
            redacts: None,
        };
        Ok(Some(self.send(draft, None).await?))
    }
}

/// All aliases that a canonical alias event names. An empty one is none.
///
/// # Errors
/// [`Error::InvalidParam`]: what should be an alias, or a list of them, is something else.
fn named(content: &Object) -> Result<Vec<String>> {
    let invalid = |what: &str| Err(Error::InvalidParam(what.to_owned()));
    let mut named = Vec::new();
    match content.get("alias") {
        None | Some(Value::Null) => {}
        Some(Value::String(alias)) if alias.is_empty() => {}
        Some(Value::String(alias)) => named.push(alias.clone()),
        Some(_) => return invalid("\"alias\" is not a room alias"),
    }
    match content.get("alt_aliases") {
        None | Some(Value::Null) => {}
        Some(Value::Array(others)) => {
            for other in others {
                match other {
                    Value::String(other) => named.push(other.clone()),
                    _ => return invalid("an entry of \"alt_aliases\" is not a room alias"),
                }
            }
        }
        Some(_) => return invalid("\"alt_aliases\" is not a list of room aliases"),
    }
    Ok(named)
}

fn parsed(text: &str) -> Result<OwnedRoomAliasId> {
    RoomAliasId::parse(text)
        .map_err(|error| Error::InvalidParam(format!("{text} is no room alias: {error}")))
}

fn leads_elsewhere(alias: &RoomAliasId) -> Error {
    Error::BadAlias(format!("{alias} does not lead to this room"))
}
