//! A user's name and picture as they stand in the member events of rooms.

use ruma::UserId;
use spec::json::{self, Object, Strictness, Value};
use storage::{
    RoomRow,
    members::{self, Membership},
    profiles,
};

use super::{Room, send::Sent};
use crate::{
    Error, Result,
    context::Context,
    profile::{AVATAR_URL, DISPLAYNAME},
    rooms::Rooms,
};

/// What the member events of `user` say of them: their display name and avatar, where they have set one.
pub(crate) async fn member_fields(context: &Context, user: &UserId) -> Result<Object> {
    let stored = profiles::all(context.store.reader(), user).await?;
    let mut fields = Object::new();
    for key in [DISPLAYNAME, AVATAR_URL] {
        let Some(text) = stored.get(key) else {
            continue;
        };
        let value = json::parse(text.as_bytes(), Strictness::Lenient)
            .map_err(|error| Error::Internal(format!("the stored {key} of {user}: {error}")))?;
        if value.as_str().is_some() {
            fields.insert(key.to_owned(), value);
        }
    }
    Ok(fields)
}

impl Rooms {
    /// Brings a user's name and picture into the member events of all rooms that they are joined to. Rooms that have
    /// them already are left alone, so that it may run twice. A room that does not take them keeps none from another, and
    /// one of a version that this server does not know is passed over.
    ///
    /// # Errors
    /// Why one of the rooms did not take them that may do so later.
    pub(crate) async fn spread_profile(&self, user: &UserId) -> Result<()> {
        let fields = member_fields(&self.context, user).await?;
        let joined =
            members::of_user(self.context.store.reader(), user, &[Membership::Join]).await?;
        let unreadable = self.context.metas.unreadable().await?;
        let mut outcome = Ok(());
        for member in joined {
            if unreadable.contains(&member.room) {
                continue;
            }
            let told = self.tell_profile(member.room, user, &fields).await;
            outcome = outcome.and(unless_final(user, told));
        }
        outcome
    }

    async fn tell_profile(&self, room: RoomRow, user: &UserId, fields: &Object) -> Result<()> {
        let room = self.by_row(room).await?;
        let (user, fields) = (user.to_owned(), fields.clone());
        let sent = room
            .run(move |room| Box::pin(async move { room.update_profile(&user, fields).await }))
            .await?;
        if let Some(sent) = sent {
            sent.on_disk(&room).await?;
        }
        Ok(())
    }
}

/// What was done in one of many rooms, where it is worth trying again; that a room refuses it is noted and no more.
pub(super) fn unless_final(user: &UserId, done: Result<()>) -> Result<()> {
    let Err(error) = done else { return Ok(()) };
    tracing::info!(%user, %error, "one of their rooms does not follow a user");
    match error {
        Error::Denied(_)
        | Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::Policy { .. }
        | Error::BadJson(_)
        | Error::TooLarge(_) => Ok(()),
        error => Err(error),
    }
}

impl Room {
    async fn update_profile(&mut self, user: &UserId, fields: Object) -> Result<Option<Sent>> {
        let Some(current) = self.state_event("m.room.member", user.as_str()).await? else {
            return Ok(None);
        };
        let mut content = current.event.content().clone();
        if content.get("membership").and_then(Value::as_str) != Some("join") {
            return Ok(None);
        }
        content.remove(DISPLAYNAME);
        content.remove(AVATAR_URL);
        content.remove("reason");
        content.extend(fields);
        if content == *current.event.content() {
            return Ok(None);
        }
        let draft = self.member_draft(user, user, content);
        Ok(Some(self.send(draft, None).await?))
    }
}
