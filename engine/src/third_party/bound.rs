//! What comes from outside: an address was bound to a user of this server, or another server has a proof.

use ruma::{OwnedUserId, RoomId, ServerName, UserId};
use spec::json::{Object, Value};
use storage::accounts;

use super::exchange::Exchange;
use crate::{Error, Result, Subject, inbound::Inbound};

/// How many invites one bound address brings. Whoever has more gets the others by their identity server.
const INVITES_MAX: usize = 50;

/// The news that an address now belongs to a user of this server, and the invites that wait for it.
#[derive(Clone, Debug)]
pub struct Bound {
    user: OwnedUserId,
    invites: Vec<Exchange>,
}

impl Bound {
    /// The body of `PUT /3pid/onbind`. Invites that are none, or of somebody else, are left out.
    ///
    /// # Errors
    /// [`Error::BadJson`]: it is no such body. [`Error::InvalidParam`]: it has too many invites.
    pub fn parse(body: &Object) -> Result<Self> {
        let wrong = |key: &str| Error::BadJson(format!("{key} is not what it should be"));
        let user = body.get("mxid").and_then(Value::as_str);
        let user = user.and_then(|user| UserId::parse(user).ok());
        let user = user.ok_or_else(|| wrong("mxid"))?;
        let invites = body.get("invites").and_then(Value::as_array);
        let invites = invites.ok_or_else(|| wrong("invites"))?;
        if invites.len() > INVITES_MAX {
            return Err(Error::InvalidParam(format!(
                "At most {INVITES_MAX} invites at once"
            )));
        }
        let invites = invites.iter().filter_map(invite);
        let invites = invites.filter(|invite| invite.user() == user).collect();
        Ok(Self { user, invites })
    }
}

fn invite(value: &Value) -> Option<Exchange> {
    let text = |key: &str| value.get(key)?.as_str();
    let signed = value.get("signed")?.as_object()?.clone();
    let room = RoomId::parse(text("room_id")?).ok()?;
    let sender = UserId::parse(text("sender")?).ok()?;
    Exchange::new(room, sender, signed).ok()
}

impl Inbound {
    /// Exchanges the invites of an address that was bound to a local user. Anybody may say so: what counts are the
    /// signatures of the invites.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such user. [`Error::Unreachable`]: an exchange failed that may do later.
    pub async fn bound(&self, bound: Bound) -> Result<()> {
        let context = &self.rooms.context;
        let is_local = bound.user.server_name() == context.server_name;
        let account = accounts::find(context.store.reader(), &bound.user).await?;
        if !is_local || account.is_none_or(|account| account.deactivated) {
            return Err(Error::NotFound(Subject::User));
        }
        let mut trouble = Ok(());
        for invite in bound.invites {
            match self.rooms.exchange(invite.clone()).await {
                Err(error @ Error::Unreachable(_)) => trouble = Err(error),
                Err(error @ (Error::Store(_) | Error::Internal(_))) => return Err(error),
                Err(error) => tracing::info!(?invite, %error, "an invite is not exchanged"),
                Ok(()) => {}
            }
        }
        trouble
    }

    /// Invites a user of `origin` to whom an address belongs that was invited to a room of this server.
    ///
    /// # Errors
    /// [`Error::BadJson`], [`Error::InvalidParam`]: the body is no such invite. [`Error::NotFound`]: this server is not in
    /// the room. [`Error::Forbidden`]: the user is not of `origin`, or the room denies that. Those of
    /// [`crate::Engine::join`] with a proof.
    pub async fn exchange(&self, origin: &ServerName, room: &RoomId, body: &Object) -> Result<()> {
        let exchange = requested(room, body)?;
        if exchange.user().server_name() != origin {
            return Err(Error::Forbidden(format!(
                "{} is not a user of {origin}",
                exchange.user()
            )));
        }
        let room = self.resident_room(origin, room).await?;
        room.exchange(exchange).await
    }
}

/// What the body of `PUT /exchange_third_party_invite` asks for.
fn requested(room: &RoomId, body: &Object) -> Result<Exchange> {
    let invalid = |why: &str| Error::InvalidParam(format!("This is no third-party invite: {why}"));
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let content = body.get("content");
    let membership = content.and_then(|content| content.get("membership")?.as_str());
    if text("type") != Some("m.room.member") || membership != Some("invite") {
        return Err(invalid("it is another event"));
    }
    if text("room_id") != Some(room.as_str()) {
        return Err(invalid("it is of another room than the path says"));
    }
    let sender = text("sender").and_then(|sender| UserId::parse(sender).ok());
    let sender = sender.ok_or_else(|| invalid("it has no sender"))?;
    let signed = content.and_then(|content| content.get("third_party_invite")?.get("signed"));
    let signed = signed.and_then(Value::as_object);
    let signed = signed.ok_or_else(|| Error::BadJson("signed is missing".to_owned()))?;
    let exchange = Exchange::new(room.to_owned(), sender, signed.clone())?;
    if text("state_key") != Some(exchange.user().as_str()) {
        return Err(invalid("it invites somebody else than the proof says"));
    }
    Ok(exchange)
}
