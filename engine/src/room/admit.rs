//! Who lets somebody into a room that only members of other rooms may join: client-server API, "Restricted rooms";
//! server-server API, "Joining rooms".

use ruma::{OwnedServerName, OwnedUserId, UserId};
use spec::{
    auth::{self, JoinRule, Membership, Power},
    event::{Draft, Event},
    json::{Object, Value},
};
use storage::{Limit, members};

use super::Room;
use crate::{Error, Result};

/// The key of a join's content that names who lets the user in.
pub(crate) const AUTHORISED_VIA: &str = "join_authorised_via_users_server";

/// How many rooms of a join rule are looked at. With more, this server says that it cannot tell.
const ALLOWED_ROOMS_MAX: usize = 64;

/// How many local users are looked at for one who may let others in.
const AUTHORISERS_MAX: u64 = 100;

impl Room {
    /// The draft of a join, with the local user who authorises it where the join rule asks for one. Whom a client names
    /// there counts for nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user is in none of the rooms whose members may join. [`Error::UnableToAuthoriseJoin`]:
    /// this server cannot tell. [`Error::UnableToGrantJoin`]: nobody of this server may let them in.
    pub(crate) async fn authorised(&self, mut draft: Draft) -> Result<Draft> {
        draft.content.remove(AUTHORISED_VIA);
        if !self.needs_authoriser(&draft.sender).await? {
            return Ok(draft);
        }
        self.check_conditions(&draft.sender).await?;
        let authoriser = self.authoriser().await?.ok_or(Error::UnableToGrantJoin)?;
        let authoriser = Value::from(authoriser.as_str());
        draft.content.insert(AUTHORISED_VIA.to_owned(), authoriser);
        Ok(draft)
    }

    /// Whether another server's join is one that this server may put its name to: the local user that it names is in the
    /// room, and the joining one meets the conditions. False if it names nobody, or the room asks for nobody.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it names a user of another server. Those of [`Room::authorised`].
    pub(crate) async fn vouches_for(&self, join: &Event) -> Result<bool> {
        let needed = self.needs_authoriser(join.sender()).await?;
        let named = join.content().get(AUTHORISED_VIA).and_then(Value::as_str);
        let Some(named) = named else { return Ok(false) };
        let user = UserId::parse(named).ok();
        let user = user.filter(|user| user.server_name() == self.context.server_name);
        let user =
            user.ok_or_else(|| Error::InvalidParam(format!("{named} is no user of this server")))?;
        if needed {
            self.check_conditions(join.sender()).await?;
        }
        Ok(self.membership(&user).await?.as_deref() == Some("join"))
    }

    /// The servers whose users may let others in, then the others in the room; this one is not among them.
    pub(crate) async fn authorising_servers(&self) -> Result<Vec<OwnedServerName>> {
        let mut servers: Vec<OwnedServerName> = Vec::new();
        for user in self.able_users()? {
            let server = user.server_name();
            let known = server == self.context.server_name || servers.iter().any(|s| s == server);
            if !known && self.membership(&user).await?.as_deref() == Some("join") {
                servers.push(server.to_owned());
            }
        }
        let all = members::servers(self.context.store.reader(), self.meta.row).await?;
        for server in all {
            let Ok(server) = OwnedServerName::try_from(server) else {
                continue;
            };
            if server != self.context.server_name && !servers.contains(&server) {
                servers.push(server);
            }
        }
        Ok(servers)
    }

    /// Whether the join rule asks for somebody to authorise this user's join: not for those who are invited or joined.
    async fn needs_authoriser(&self, user: &UserId) -> Result<bool> {
        let rule = self.deciding.as_ref().map(auth::Head::join_rule);
        if !matches!(rule, Some(JoinRule::Restricted | JoinRule::KnockRestricted)) {
            return Ok(false);
        }
        let known = self.state_event("m.room.member", user.as_str()).await?;
        let membership = Membership::of(known.as_ref().map(|known| known.event.as_ref()));
        // The rules of the room refuse those who are banned, whoever authorises.
        Ok(matches!(
            membership,
            Membership::Leave | Membership::Knock | Membership::Unknown
        ))
    }

    async fn check_conditions(&self, user: &UserId) -> Result<()> {
        let rules = self.state_event("m.room.join_rules", "").await?;
        let no_rules = Object::new();
        let rules = rules
            .as_ref()
            .map_or(&no_rules, |known| known.event.content());
        let allowed = auth::allowed_rooms(rules);
        let db = self.context.store.reader();
        let mut can_tell = allowed.len() <= ALLOWED_ROOMS_MAX;
        for room in allowed.iter().take(ALLOWED_ROOMS_MAX) {
            let row = match self.context.metas.by_id(room).await {
                Ok(meta) => meta.row,
                Err(Error::NotFound(_)) => {
                    can_tell = false;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !members::is_server_joined(db, row, &self.context.server_name).await? {
                can_tell = false;
                continue;
            }
            let member = members::one(db, row, user).await?;
            if member.is_some_and(|member| member.membership == members::Membership::Join) {
                return Ok(());
            }
        }
        if !can_tell {
            return Err(Error::UnableToAuthoriseJoin);
        }
        Err(Error::Forbidden(
            "Only the members of certain other rooms may join without an invite".to_owned(),
        ))
    }

    /// A local user who is joined and may invite.
    async fn authoriser(&self) -> Result<Option<OwnedUserId>> {
        let own = &self.context.server_name;
        for user in self.able_users()? {
            if user.server_name() == own && self.membership(&user).await?.as_deref() == Some("join")
            {
                return Ok(Some(user));
            }
        }
        let levels = self.power_levels()?;
        let needed = Power::Level(levels.invite());
        if Power::Level(levels.users_default()) < needed {
            return Ok(None);
        }
        let db = self.context.store.reader();
        let limit = Limit::new(AUTHORISERS_MAX);
        for user in members::joined_of_server(db, self.meta.row, own, limit).await? {
            let Ok(user) = OwnedUserId::try_from(user) else {
                continue;
            };
            if levels.user(user.as_str()) >= needed
                && self.membership(&user).await?.as_deref() == Some("join")
            {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// The users who may invite by a power of their own, whether or not they are in the room.
    fn able_users(&self) -> Result<Vec<OwnedUserId>> {
        let levels = self.power_levels()?;
        let needed = Power::Level(levels.invite());
        let head = self.deciding.as_ref();
        let create = head.map(auth::Head::create);
        let creators = create.into_iter().flat_map(|create| {
            create
                .privileged()
                .iter()
                .map(String::as_str)
                .chain([create.sender().as_str()])
        });
        let named = levels.users().map(|(user, _)| user);
        let able = creators
            .chain(named)
            .filter(|user| levels.user(user) >= needed)
            .filter_map(|user| UserId::parse(user).ok());
        Ok(able.collect())
    }
}
