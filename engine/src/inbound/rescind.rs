//! Invites of local users that their inviters take back, and knocks that are refused: server-server API, "Inviting to a room". The room is one that this
//! server is not in, so what comes of it is no more than a note for the user.

use ruma::{OwnedEventId, OwnedUserId, RoomId, ServerName, UserId};
use spec::{
    event::Event,
    json::{Object, Value},
};

use super::Inbound;
use crate::{Result, remote::check, rooms::RoomHandle};

impl Inbound {
    /// Takes out of `pdus` those that end an invite of a local user to a room that this server is not in, and lets them.
    /// Answers with their ids. Costs nothing where no event removes a local user.
    pub(super) async fn rescind(
        &self,
        origin: &ServerName,
        pdus: &mut Vec<Object>,
    ) -> Vec<OwnedEventId> {
        let mut done = Vec::new();
        let mut others = Vec::with_capacity(pdus.len());
        for pdu in pdus.drain(..) {
            match self.rescind_one(origin, &pdu).await {
                Ok(Some(id)) => done.push(id),
                Ok(None) => others.push(pdu),
                Err(error) => {
                    tracing::debug!(%origin, %error, "an invite is not taken back");
                    others.push(pdu);
                }
            }
        }
        *pdus = others;
        done
    }

    async fn rescind_one(&self, origin: &ServerName, pdu: &Object) -> Result<Option<OwnedEventId>> {
        let own = &self.rooms.context.server_name;
        let Some((room, user)) = removed(pdu).filter(|(_, user)| user.server_name() == *own) else {
            return Ok(None);
        };
        let room = self.rooms.by_id(room).await?;
        if room.is_resident().await? {
            return Ok(None);
        }
        let checked = check(&room.context, room.meta.version, vec![pdu.clone()]).await;
        let Some(Ok(event)) = checked.into_iter().next() else {
            return Ok(None);
        };
        let ends = event.sender().server_name() == origin && room.rescind(&user, &event).await?;
        Ok(ends.then(|| event.id().to_owned()))
    }
}

impl RoomHandle {
    /// Ends a local user's invite or knock, if this event may; whether it did. The event is checked, and of a room that this
    /// server is not in.
    ///
    /// Who has the right to kick is not known here: only those who invited are believed, and only where the event builds
    /// on the invite, so that an old one does not end a new invite. So does Synapse.
    async fn rescind(&self, user: &UserId, event: &Event) -> Result<bool> {
        let may = self.may_rescind(user, event).await?;
        if may {
            self.keep_aside(event.clone()).await?;
        }
        Ok(may)
    }
}

/// Whom an event removes, from which room; `None` where it does something else.
fn removed(pdu: &Object) -> Option<(&RoomId, OwnedUserId)> {
    let text = |key: &str| pdu.get(key).and_then(Value::as_str);
    let content = pdu.get("content").and_then(Value::as_object)?;
    let membership = content.get("membership").and_then(Value::as_str);
    let leave = matches!(membership, Some("leave" | "ban"));
    let user = text("state_key")?;
    let removes = leave && text("type") == Some("m.room.member") && text("sender") != Some(user);
    let room = <&RoomId>::try_from(text("room_id")?).ok()?;
    removes.then_some((room, UserId::parse(user).ok()?))
}
