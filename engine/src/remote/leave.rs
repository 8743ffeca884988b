//! Giving up an invite or a knock at a room that this server is not in: server-server API, "Leaving rooms".

use ruma::{OwnedServerName, UserId};
use spec::{
    event::Event,
    json::{Object, Value},
};
use storage::members::{self, Membership};

use super::{candidates::Candidates, knock::TAKEN_IN_BY};
use crate::{Error, Result, peers::Peers, rooms::RoomHandle};

impl RoomHandle {
    /// Whether this server takes part in the room, so that it decides about it itself.
    pub(crate) async fn is_resident(&self) -> Result<bool> {
        let db = self.context.store.reader();
        Ok(members::is_server_joined(db, self.meta.row, &self.context.server_name).await?)
    }

    /// The server of whoever invited a user.
    pub(super) async fn inviting_server(&self, user: &UserId) -> Result<Option<OwnedServerName>> {
        let member = members::one(self.context.store.reader(), self.meta.row, user).await?;
        let inviter = member.filter(|member| member.membership == Membership::Invite);
        Ok(inviter
            .and_then(|member| UserId::parse(member.sender).ok())
            .map(|sender| sender.server_name().to_owned()))
    }

    /// Leaves a room that this server is not in: through the server of whoever invited the user, that which took in the
    /// knock, or others that are likely to be there; without them if none can be reached. The user is out in any case.
    ///
    /// It goes on to its end, whether or not the client waits: the other server does not take the leave back either.
    pub(crate) async fn leave_through(
        &self,
        user: &UserId,
        member: members::Member,
        content: Object,
    ) -> Result<()> {
        let (room, user) = (self.clone(), user.to_owned());
        let work = self.spawn(async move { room.leave_elsewhere(&user, &member, content).await });
        work.await
            .map_err(|_| Error::Internal("a leave stopped".to_owned()))?
    }

    async fn leave_elsewhere(
        &self,
        user: &UserId,
        member: &members::Member,
        content: Object,
    ) -> Result<()> {
        let via = self.servers_of_offer(member).await?;
        let left = match self.context.peers.get() {
            Some(peers) => self.leave_at_any(peers.as_ref(), via, user, &content).await,
            None => None,
        };
        let leave = match left {
            Some(leave) => leave,
            // Without an event of the room the user's word stands in for it.
            None => {
                let (version, room) = (self.meta.version, &self.meta.id);
                let template = super::empty_template(version, room, user, "leave");
                super::fill(&self.context, user, room, "leave", template, &content)?.1
            }
        };
        self.keep_aside(leave).await
    }

    /// Whether `event`, of another server, ends a local user's invite or knock: it names that as what permits it, and comes
    /// from who sent the invite, or from the server that took in the knock.
    pub(crate) async fn may_rescind(&self, user: &UserId, event: &Event) -> Result<bool> {
        let member = members::one(self.context.store.reader(), self.meta.row, user).await?;
        let Some(member) = member else {
            return Ok(false);
        };
        let known = self
            .context
            .events
            .get(&self.context.metas, member.event)
            .await?;
        if !event.auth_events().iter().any(|id| id == known.event.id()) {
            return Ok(false);
        }
        Ok(match member.membership {
            Membership::Invite => member.sender == event.sender().as_str(),
            Membership::Knock => {
                let unsigned = known.event.unsigned();
                let server = unsigned.and_then(|unsigned| unsigned.get(TAKEN_IN_BY)?.as_str());
                server == Some(event.sender().server_name().as_str())
            }
            _ => false,
        })
    }

    /// The servers that know of an invite or a knock: who sent or took it in, then those whose users made the room's state
    /// that came along, then the one that the room's id names.
    async fn servers_of_offer(&self, member: &members::Member) -> Result<Vec<OwnedServerName>> {
        let known = self
            .context
            .events
            .get(&self.context.metas, member.event)
            .await?;
        let no_unsigned = Object::new();
        let unsigned = known.event.unsigned().unwrap_or(&no_unsigned);
        let taken_in_by = unsigned.get(TAKEN_IN_BY).and_then(Value::as_str);
        let state = ["invite_room_state", "knock_room_state"]
            .into_iter()
            .filter_map(|key| unsigned.get(key)?.as_array())
            .flatten();
        let senders = state
            .filter_map(|event| event.as_object()?.get("sender")?.as_str())
            .chain([member.sender.as_str()])
            .filter_map(|sender| UserId::parse(sender).ok())
            .map(|sender| sender.server_name().to_owned());
        let inviter = UserId::parse(&member.sender).ok();
        Ok(taken_in_by
            .and_then(|server| server.try_into().ok())
            .into_iter()
            .chain(inviter.map(|inviter| inviter.server_name().to_owned()))
            .chain(senders)
            .chain(self.meta.id.server_name().map(ToOwned::to_owned))
            .collect())
    }

    /// The leave that the first of these servers has taken in that takes one in.
    async fn leave_at_any(
        &self,
        peers: &dyn Peers,
        via: Vec<OwnedServerName>,
        user: &UserId,
        content: &Object,
    ) -> Option<Event> {
        let room = &self.meta.id;
        let mut candidates = Candidates::new(&self.context.server_name, room, via, peers);
        while let Some(server) = candidates.next() {
            let left = self.leave_at(peers, user, &server, content).await;
            if left.is_some() {
                return left;
            }
        }
        None
    }

    /// The leave that a server has taken in.
    async fn leave_at(
        &self,
        peers: &dyn Peers,
        user: &UserId,
        server: &OwnedServerName,
        content: &Object,
    ) -> Option<Event> {
        let room = &self.meta.id;
        let template = peers.make_membership(server, "leave", room, user).await;
        let template = template.ok()?;
        let filled = super::fill(&self.context, user, room, "leave", template, content);
        let (_, leave) = filled.ok()?;
        peers
            .send_leave(server, room, leave.id(), leave.object())
            .await
            .ok()?;
        Some(leave)
    }
}
