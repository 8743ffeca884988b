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

use super::{
    Room,
    profile::{member_fields, unless_final},
    send::Sent,
};
use crate::{
    Error, Requester, Result, Subject,
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
    /// A leave as somebody has written it themselves: either of these two.
    Remove,
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
        content.extend(because(reason));
        let draft = self.member_draft(by, &by.user_id, "join", content);
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
    /// [`Error::Denied`]: the inviter may not, or the target is joined or banned. [`Error::Forbidden`]: a policy list shuts
    /// them or the room out. What the other server answered.
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
        let mut content = because(target.reason);
        if is_direct {
            content.insert("is_direct".to_owned(), Value::from(true));
        }
        self.invite_with(by, &target.user_id, content).await
    }

    /// The same; `extra` goes into the content of the member event.
    async fn invite_with(
        &self,
        by: &Requester,
        target: &UserId,
        extra: Object,
    ) -> Result<OwnedEventId> {
        self.context.check_invite(&by.user_id, target).await?;
        self.context.check_listed_user(target).await?;
        self.context.check_listed_room(&self.meta.id).await?;
        let mut content = invite_content(&self.context, target, false).await?;
        content.extend(extra);
        let draft = self.member_draft(by, target, "invite", content);
        if target.server_name() != self.context.server_name {
            return self.invite_through(target, draft).await;
        }
        self.run(move |room| Box::pin(async move { room.send(draft, None).await }))
            .await?
            .on_disk(self)
            .await
    }

    /// Invites a user of this server, whatever they want of invites.
    pub(crate) async fn invite_unasked(&self, by: &Requester, target: &UserId) -> Result<()> {
        let content = invite_content(&self.context, target, false).await?;
        let draft = self.member_draft(by, target, "invite", content);
        let sent = self
            .run(move |room| Box::pin(async move { room.send(draft, None).await }))
            .await?;
        sent.on_disk(self).await.map(drop)
    }

    /// Knocks with the user's profile; `extra` goes into the content of the member event. Knocking again changes that.
    ///
    /// # Errors
    /// [`Error::Denied`]: the join rule, a ban, or the user is invited or joined.
    pub(crate) async fn knock(&self, by: &Requester, extra: Object) -> Result<()> {
        let mut content = member_fields(&self.context, &by.user_id).await?;
        content.extend(extra);
        let draft = self.member_draft(by, &by.user_id, "knock", content);
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
        self.leave_with(by, because(reason)).await
    }

    /// The same; `content` is that of the member event.
    async fn leave_with(&self, by: &Requester, content: Object) -> Result<()> {
        let db = self.context.store.reader();
        let member = members::one(db, self.meta.row, &by.user_id).await?;
        self.context.notices.check_leave(member.as_ref())?;
        if let Some(member) = member
            && matches!(member.membership, Membership::Invite | Membership::Knock)
            && !self.is_resident().await?
        {
            return self.leave_through(&by.user_id, member, content).await;
        }
        let draft = self.member_draft(by, &by.user_id, "leave", content);
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
        let content = because(target.reason);
        self.moderate(by, target.user_id, content, Verb::Kick).await
    }

    /// Bans a user, whatever they are in the room.
    ///
    /// # Errors
    /// [`Error::Denied`]: the power levels.
    pub async fn ban(&self, by: &Requester, target: Target) -> Result<OwnedEventId> {
        let content = because(target.reason);
        self.moderate(by, target.user_id, content, Verb::Ban).await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user is not banned. [`Error::Denied`]: the power levels.
    pub async fn unban(&self, by: &Requester, target: Target) -> Result<OwnedEventId> {
        let content = because(target.reason);
        self.moderate(by, target.user_id, content, Verb::Unban)
            .await
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
        let own = target == by.user_id;
        match content.get("membership").and_then(Value::as_str) {
            Some("join") if own => self.set_join(by, content).await,
            Some("knock") if own => {
                let (room, via) = (&self.meta.id, Vec::new());
                self.rooms.knock(by, room, via, content).await?;
                self.member_event(&target).await
            }
            Some("leave") if own => {
                self.leave_with(by, content).await?;
                self.member_event(&target).await
            }
            Some("invite") => self.invite_with(by, &target, content).await,
            Some("leave") => self.moderate(by, target, content, Verb::Remove).await,
            Some("ban") => self.moderate(by, target, content, Verb::Ban).await,
            // The rules of the room say what is wrong with it.
            _ => {
                let kind = "m.room.member".to_owned();
                let draft = self.draft(by, kind, Some(target.to_string()), content);
                self.run(move |room| Box::pin(async move { room.set_state(draft).await }))
                    .await?
                    .on_disk(self)
                    .await
            }
        }
    }

    /// Joins with this content; for somebody who is in the room already it replaces that of their member event.
    async fn set_join(&self, by: &Requester, content: Object) -> Result<OwnedEventId> {
        let db = self.context.store.reader();
        let member = members::one(db, self.meta.row, &by.user_id).await?;
        if member.is_none_or(|member| member.membership != Membership::Join) {
            let (room, via) = (&self.meta.id, Vec::new());
            self.rooms.join(by, room, via, None, content).await?;
            return self.member_event(&by.user_id).await;
        }
        let mut filled = member_fields(&self.context, &by.user_id).await?;
        filled.extend(content);
        let draft = self.member_draft(by, &by.user_id, "join", filled);
        let guest = by.guest;
        self.run(move |room| {
            Box::pin(async move {
                room.check_guest(guest).await?;
                let draft = room.authorised(draft).await?;
                room.set_state(draft).await
            })
        })
        .await?
        .on_disk(self)
        .await
    }

    /// The event that made of a user what they are in the room.
    async fn member_event(&self, user: &UserId) -> Result<OwnedEventId> {
        let context = &self.context;
        let member = members::one(context.store.reader(), self.meta.row, user).await?;
        let member = member.ok_or(Error::NotFound(Subject::State))?;
        let known = context.events.get(&context.metas, member.event).await?;
        Ok(known.event.id().to_owned())
    }

    async fn moderate(
        &self,
        by: &Requester,
        target: OwnedUserId,
        content: Object,
        verb: Verb,
    ) -> Result<OwnedEventId> {
        let membership = if verb == Verb::Ban { "ban" } else { "leave" };
        let draft = self.member_draft(by, &target, membership, content);
        self.run(move |room| Box::pin(async move { room.moderate(draft, target, verb).await }))
            .await?
            .on_disk(self)
            .await
    }

    fn member_draft(
        &self,
        by: &Requester,
        target: &UserId,
        membership: &str,
        mut content: Object,
    ) -> Draft {
        content.insert("membership".to_owned(), Value::from(membership));
        self.draft(
            by,
            "m.room.member".to_owned(),
            Some(target.to_string()),
            content,
        )
    }
}

/// What a reason adds to the content of a member event.
pub(crate) fn because(reason: Option<String>) -> Object {
    let reason = reason.map(|reason| ("reason".to_owned(), Value::from(reason)));
    reason.into_iter().collect()
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
    /// Takes a user out of every room: leaves, rejects invites and takes knocks back. A room that fails keeps them in no other;
    /// one of a version that this server does not know is passed over.
    ///
    /// # Errors
    /// Why they are still in one of the rooms, where that may be over later.
    pub(crate) async fn leave_all(&self, user: &UserId) -> Result<()> {
        let present = [Membership::Join, Membership::Invite, Membership::Knock];
        let rooms = members::of_user(self.context.store.reader(), user, &present).await?;
        let unreadable = self.context.metas.unreadable().await?;
        let mut outcome = Ok(());
        for member in rooms {
            if unreadable.contains(&member.room) {
                continue;
            }
            let left = self.take_out(user, member).await;
            outcome = outcome.and(unless_final(user, left));
        }
        outcome
    }

    async fn take_out(&self, user: &UserId, member: members::Member) -> Result<()> {
        let room = self.by_row(member.room).await?;
        if member.membership != Membership::Join && !room.is_resident().await? {
            return room.leave_through(user, member, Object::new()).await;
        }
        let content = object! { "membership" => "leave" };
        let user = user.to_owned();
        let sent = room.run(move |room| {
            Box::pin(async move {
                let draft = room.member_draft(&user, &user, content);
                room.set_state(draft).await
            })
        });
        sent.await?.on_disk(&room).await.map(drop)
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
            Verb::Remove if !present && membership.as_deref() != Some("ban") => Err(
                Error::Forbidden(format!("{target} is neither in the room nor banned")),
            ),
            Verb::Ban => self.set_state(draft).await,
            Verb::Kick | Verb::Unban | Verb::Remove => self.send(draft, None).await,
        }
    }
}
