//! Giving up an invite or a membership in a room that this server is not in: server-server API, "Leaving rooms".

use std::sync::Arc;

use ruma::{OwnedServerName, UserId};
use spec::{event::Event, json::Object};
use storage::{
    Logged, Write,
    members::{self, Membership},
    write::{NewEvent, NewMembership, Outcome, Place},
};

use crate::{Requester, Result, rooms::RoomHandle};

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

    /// Leaves a room that this server is not in: through the server of whoever invited the user, and without it if that
    /// cannot be reached. The user is out in any case.
    pub(crate) async fn leave_through(
        &self,
        by: &Requester,
        member: &members::Member,
    ) -> Result<()> {
        let inviter = UserId::parse(&member.sender)
            .ok()
            .map(|sender| sender.server_name().to_owned());
        let left = match inviter {
            Some(server) if server != self.context.server_name => self.leave_at(by, &server).await,
            _ => None,
        };
        self.note_leave(by, left).await
    }

    /// The leave that a server has taken in.
    async fn leave_at(&self, by: &Requester, server: &OwnedServerName) -> Option<Event> {
        let peers = self.context.peers.get()?;
        let template = peers
            .make_membership(server, "leave", &self.meta.id, &by.user_id)
            .await
            .ok()?;
        let (_, leave) = super::fill(
            &self.context,
            by,
            &self.meta.id,
            "leave",
            template,
            &Object::new(),
        )
        .ok()?;
        peers
            .send_leave(server, &self.meta.id, leave.id(), leave.object())
            .await
            .ok()?;
        Some(leave)
    }

    /// Notes for the user's clients that they are out. Without an event of the room the invite stands in for it.
    async fn note_leave(&self, by: &Requester, left: Option<Event>) -> Result<()> {
        let leave = match left {
            Some(leave) => leave,
            None => {
                let (_, leave) = super::fill(
                    &self.context,
                    by,
                    &self.meta.id,
                    "leave",
                    super::empty_template(self.meta.version, &self.meta.id, &by.user_id),
                    &Object::new(),
                )?;
                leave
            }
        };
        self.keep_leave(&by.user_id, leave).await
    }

    /// Keeps a leave of a room that this server is not in, beside the room: the user hears of it.
    pub(crate) async fn keep_leave(&self, user: &UserId, leave: Event) -> Result<()> {
        let key = user.as_str();
        let resolved = self
            .context
            .store
            .state_keys()
            .resolve(&[("m.room.member", key)])
            .await?;
        let membership = NewMembership {
            user_id: user.to_owned(),
            membership: Membership::Leave,
            sender: leave.sender().to_owned(),
            displayname: None,
            avatar_url: None,
        };
        let logged = Logged::Event(NewEvent {
            row: self.context.store.ids().next_event(),
            room: self.meta.row,
            event: Arc::new(leave),
            outcome: Outcome::Outlier,
            state_key: Some(resolved.rows[0]),
            snapshot: None,
            current: None,
            replaces: None,
            place: Place::New,
            txn: None,
            membership: Some(membership),
            promoted: false,
            outgoing: false,
        });
        let write = Write {
            plain: resolved.inserts,
            logged: vec![logged],
            ..Write::default()
        };
        self.context.store.write(write).await?;
        Ok(())
    }
}
