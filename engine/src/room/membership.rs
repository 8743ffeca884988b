//! Joining, inviting, leaving, removing: client-server API, "Room membership".

use ruma::{OwnedEventId, OwnedUserId, UserId};
use spec::{
    event::Draft,
    json::{Object, Value},
    object,
};
use storage::{
    Plain, Write,
    members::{self, Membership},
    purges::Purge,
};

use super::{Room, profile::member_fields, send::Sent};
use crate::{
    Error, Requester, Result,
    context::Context,
    rooms::{RoomHandle, Rooms},
};

/// A change of somebody's membership by a moderator.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose membership.
    pub user_id: OwnedUserId,
    /// Why, for all to read.
    pub reason: Option<String>,
}

/// What a moderator does to somebody's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Kick,
    Ban,
    Unban,
}

impl RoomHandle {
    /// Joins the room with the user's profile; `extra` goes into the content of the member event. Joining again does
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Denied`]: the join rule or a ban. [`Error::GuestAccessForbidden`].
    pub async fn join(
        &self,
        by: &Requester,
        reason: Option<String>,
        extra: Object,
    ) -> Result<OwnedEventId> {
        let mut content = member_fields(&self.context, &by.user_id).await?;
        content.extend(extra);
        let draft = self.member_draft(by, &by.user_id, "join", reason, content);
        let guest = by.guest;
        self.run(move |room| {
            Box::pin(async move {
                room.check_guest(guest).await?;
                room.join(draft).await
            })
        })
        .await?
        .on_disk(self)
        .await
    }

    /// Invites a user, through their server if that is another.
    ///
    /// # Errors
    /// [`Error::Denied`]: the inviter may not, or the target is joined or banned. What the other server answered.
    pub async fn invite(&self, by: &Requester, target: Target) -> Result<OwnedEventId> {
        self.invite_as(by, target, false).await
    }

    /// The same; `is_direct` says that the room is a direct chat.
    pub(crate) async fn invite_as(
        &self,
        by: &Requester,
        target: Target,
        is_direct: bool,
    ) -> Result<OwnedEventId> {
        self.context
            .check_invite(&by.user_id, &target.user_id)
            .await?;
        let content = invite_content(&self.context, &target.user_id, is_direct).await?;
        let draft = self.member_draft(by, &target.user_id, "invite", target.reason, content);
        if target.user_id.server_name() != self.context.server_name {
            return self.invite_through(&target.user_id, draft).await;
        }
        self.run(move |room| Box::pin(async move { room.send(draft, None).await }))
            .await?
            .on_disk(self)
            .await
    }

    /// Invites a user of this server, whatever they want of invites.
    pub(crate) async fn invite_unasked(&self, by: &Requester, target: &UserId) -> Result<()> {
        let content = invite_content(&self.context, target, false).await?;
        let draft = self.member_draft(by, target, "invite", None, content);
        let sent = self
            .run(move |room| Box::pin(async move { room.send(draft, None).await }))
            .await?;
        sent.on_disk(self).await.map(drop)
    }

    /// Knocks with the user's profile. Knocking again changes the reason.
    ///
    /// # Errors
    /// [`Error::Denied`]: the join rule, a ban, or the user is invited or joined.
    pub(crate) async fn knock(&self, by: &Requester, reason: Option<String>) -> Result<()> {
        let content = member_fields(&self.context, &by.user_id).await?;
        let draft = self.member_draft(by, &by.user_id, "knock", reason, content);
        let sent = self
            .run(move |room| Box::pin(async move { room.set_state(draft).await }))
            .await?;
        sent.on_disk(self).await.map(drop)
    }

    /// Leaves the room, rejects an invite, or takes a knock back. Leaving again does nothing.
    ///
    /// # Errors
    /// [`Error::Denied`]: the user has no membership to give up. [`Error::CannotLeaveNotices`].
    pub async fn leave(&self, by: &Requester, reason: Option<String>) -> Result<()> {
        let db = self.context.store.reader();
        let member = members::one(db, self.meta.row, &by.user_id).await?;
        self.context.notices.check_leave(member.as_ref())?;
        if let Some(member) = member
            && matches!(member.membership, Membership::Invite | Membership::Knock)
            && !self.is_resident().await?
        {
            return self.leave_through(&by.user_id, &member, reason).await;
        }
        let draft = self.member_draft(by, &by.user_id, "leave", reason, Object::new());
        let sent = self
            .run(move |room| Box::pin(async move { room.set_state(draft).await }))
            .await?;
        sent.on_disk(self).await.map(drop)
    }

    /// Removes a user who is joined, invited or knocking.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: they are none of these. [`Error::Denied`]: the power levels.
    pub async fn kick(&self, by: &Requester, target: Target) -> Result<OwnedEventId> {
        self.moderate(by, target, Verb::Kick).await
    }

    /// Bans a user, whatever they are in the room.
    ///
    /// # Errors
    /// [`Error::Denied`]: the power levels.
    pub async fn ban(&self, by: &Requester, target: Target) -> Result<OwnedEventId> {
        self.moderate(by, target, Verb::Ban).await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user is not banned. [`Error::Denied`]: the power levels.
    pub async fn unban(&self, by: &Requester, target: Target) -> Result<OwnedEventId> {
        self.moderate(by, target, Verb::Unban).await
    }

    /// Wants to see nothing of the room any more, its history included.
    ///
    /// # Errors
    /// [`Error::Refused`]: the user is still in the room, invited to it or knocking.
    pub async fn forget(&self, by: &Requester) -> Result<()> {
        let db = self.context.store.reader();
        let Some(member) = members::one(db, self.meta.row, &by.user_id).await? else {
            return Ok(());
        };
        if !matches!(member.membership, Membership::Leave | Membership::Ban) {
            return Err(Error::Refused(
                "You are still in the room: leave it before you forget it".to_owned(),
            ));
        }
        let forgotten = Plain::Forgotten {
            room: self.meta.row,
            user_id: by.user_id.clone(),
        };
        let planned = Plain::PurgePlanned(Purge {
            room: self.meta.row,
            room_id: self.meta.id.to_string(),
            forgotten_ts: self.context.clock.now_ms(),
            going: false,
        });
        self.context
            .store
            .write(Write::plain(vec![forgotten, planned]))
            .await?;
        self.context.listings.drop_of(&by.user_id);
        Ok(())
    }

    /// A member event that a client has written itself: the rules of the verb that it amounts to.
    pub(super) async fn set_member(
        &self,
        by: &Requester,
        state_key: &str,
        content: Object,
    ) -> Result<OwnedEventId> {
        let target = UserId::parse(state_key).map_err(|error| {
            Error::InvalidParam(format!(
                "The state key of a member event is a user id: {error}"
            ))
        })?;
        let membership = content.get("membership").and_then(Value::as_str);
        let joins = membership == Some("join") && target == by.user_id;
        let invites = membership == Some("invite");
        if membership == Some("leave") && target == by.user_id {
            let db = self.context.store.reader();
            let member = members::one(db, self.meta.row, &target).await?;
            self.context.notices.check_leave(member.as_ref())?;
        }
        if invites {
            self.context.check_invite(&by.user_id, &target).await?;
        }
        let draft = self.draft(
            by,
            "m.room.member".to_owned(),
            Some(target.to_string()),
            content,
        );
        if invites && target.server_name() != self.context.server_name {
            return self.invite_through(&target, draft).await;
        }
        let guest = by.guest;
        self.run(move |room| {
            Box::pin(async move {
                let draft = if joins {
                    room.check_guest(guest).await?;
                    room.authorised(draft).await?
                } else {
                    draft
                };
                room.set_state(draft).await
            })
        })
        .await?
        .on_disk(self)
        .await
    }

    async fn moderate(&self, by: &Requester, target: Target, verb: Verb) -> Result<OwnedEventId> {
        let membership = if verb == Verb::Ban { "ban" } else { "leave" };
        let draft = self.member_draft(
            by,
            &target.user_id,
            membership,
            target.reason,
            Object::new(),
        );
        self.run(move |room| {
            Box::pin(async move { room.moderate(draft, target.user_id, verb).await })
        })
        .await?
        .on_disk(self)
        .await
    }

    fn member_draft(
        &self,
        by: &Requester,
        target: &UserId,
        membership: &str,
        reason: Option<String>,
        mut content: Object,
    ) -> Draft {
        content.insert("membership".to_owned(), Value::from(membership));
        if let Some(reason) = reason {
            content.insert("reason".to_owned(), Value::from(reason));
        }
        self.draft(
            by,
            "m.room.member".to_owned(),
            Some(target.to_string()),
            content,
        )
    }
}

/// The content of an invite of `target`, without membership and reason: their profile, if it is of this server.
pub(crate) async fn invite_content(
    context: &Context,
    target: &UserId,
    is_direct: bool,
) -> Result<Object> {
    let mut content = if target.server_name() == context.server_name {
        member_fields(context, target).await?
    } else {
        Object::new()
    };
    if is_direct {
        content.insert("is_direct".to_owned(), Value::from(true));
    }
    Ok(content)
}

impl Rooms {
    /// Takes a user out of every room: leaves, rejects invites and takes knocks back.
    pub(crate) async fn leave_all(&self, user: &UserId) -> Result<()> {
        let present = [Membership::Join, Membership::Invite, Membership::Knock];
        let rooms = members::of_user(self.context.store.reader(), user, &present).await?;
        for member in rooms {
            let room = self.by_row(member.room).await?;
            if member.membership != Membership::Join && !room.is_resident().await? {
                room.leave_through(user, &member, None).await?;
                continue;
            }
            let content = object! { "membership" => "leave" };
            let user = user.to_owned();
            let sent = room
                .run(move |room| {
                    Box::pin(async move {
                        let draft = room.member_draft(&user, &user, content);
                        room.set_state(draft).await
                    })
                })
                .await;
            match sent {
                Ok(sent) => drop(sent.on_disk(&room).await?),
                // Somebody else has removed them meanwhile.
                Err(Error::Denied(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Room {
    /// A member event of `target` by `sender`.
    pub(crate) fn member_draft(&self, sender: &UserId, target: &UserId, content: Object) -> Draft {
        Draft {
            room_id: Some(self.meta.id.clone()),
            sender: sender.to_owned(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(target.to_string()),
            content,
            redacts: None,
        }
    }

    /// Whether somebody may join who is a guest or not.
    ///
    /// # Errors
    /// [`Error::GuestAccessForbidden`]: the room does not admit guests.
    async fn check_guest(&self, guest: bool) -> Result<()> {
        if !guest || self.admits_guests().await? {
            return Ok(());
        }
        Err(Error::GuestAccessForbidden(
            "This room does not admit guests".to_owned(),
        ))
    }

    /// Joins; nothing happens for somebody who is joined already.
    async fn join(&mut self, draft: Draft) -> Result<Sent> {
        let current = self
            .state_event("m.room.member", draft.sender.as_str())
            .await?;
        if let Some(current) = current
            && current
                .event
                .content()
                .get("membership")
                .and_then(Value::as_str)
                == Some("join")
        {
            return Ok(Sent::Written {
                event_id: current.event.id().to_owned(),
                pending: self.flushed().await,
            });
        }
        let draft = self.authorised(draft).await?;
        self.send(draft, None).await
    }

    async fn moderate(&mut self, draft: Draft, target: OwnedUserId, verb: Verb) -> Result<Sent> {
        let membership = self.membership(&target).await?;
        let present = matches!(membership.as_deref(), Some("join" | "invite" | "knock"));
        match verb {
            Verb::Kick if !present => Err(Error::Forbidden(format!("{target} is not in the room"))),
            Verb::Unban if membership.as_deref() != Some("ban") => {
                Err(Error::Forbidden(format!("{target} is not banned")))
            }
            Verb::Ban => self.set_state(draft).await,
            Verb::Kick | Verb::Unban => self.send(draft, None).await,
        }
    }
}
