//! From a third-party invite to the invite of a user: server-server API, "Third-party invites".

use std::fmt;

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};
use spec::{
    auth,
    event::Draft,
    json::{Object, Value},
    object,
};

use super::{THIRD_PARTY_INVITE, identity::IdentityError};
use crate::{
    Engine, Error, Requester, Result,
    remote::refused,
    room::{Room, membership::invite_content},
    rooms::{RoomHandle, Rooms},
};

/// The proof of an identity server that a user has the address that was invited.
#[derive(Clone)]
pub struct Exchange {
    /// The room.
    room: OwnedRoomId,
    /// Who invited the address.
    sender: OwnedUserId,
    /// To whom it belongs.
    user: OwnedUserId,
    /// The token of the invite.
    token: String,
    /// The signed object, whole: all of it is signed.
    signed: Object,
}

impl fmt::Debug for Exchange {
    /// Without the proof.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("room", &self.room)
            .field("sender", &self.sender)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// What a `signed` object proves, if it does.
    ///
    /// # Errors
    /// [`Error::BadJson`]: it is none.
    pub fn new(room: OwnedRoomId, sender: OwnedUserId, signed: Object) -> Result<Self> {
        let text = |key: &str| {
            let text = signed.get(key).and_then(Value::as_str);
            text.ok_or_else(|| Error::BadJson(format!("{key} is missing in what is signed")))
        };
        let user = UserId::parse(text("mxid")?)
            .map_err(|error| Error::BadJson(format!("mxid is no user: {error}")))?;
        let token = text("token")?.to_owned();
        let signatures = signed.get("signatures").and_then(Value::as_object);
        if signatures.is_none() {
            return Err(Error::BadJson("It is not signed".to_owned()));
        }
        Ok(Self {
            room,
            sender,
            user,
            token,
            signed,
        })
    }

    /// To whom the address belongs.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// As it is put to another server: `PUT /exchange_third_party_invite`.
    fn body(&self) -> Object {
        let invite = object! { "display_name" => "", "signed" => self.signed.clone() };
        object! {
            "type" => "m.room.member",
            "room_id" => self.room.as_str(),
            "sender" => self.sender.as_str(),
            "state_key" => self.user.as_str(),
            "content" => object! { "membership" => "invite", "third_party_invite" => invite },
        }
    }
}

impl Rooms {
    /// Has the user invited who has the address: by this server, if it is in the room, else by that of whoever invited the
    /// address. Nothing happens to one who is invited or joined already.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Denied`]: the proof is none, the key by which it was signed is not valid any more, the
    /// invite was taken back, or a policy list shuts out the user or the room. [`Error::InviteBlocked`]: the user wants no
    /// invite. [`Error::Unreachable`]: another server is needed, and gives no usable answer.
    pub(crate) async fn exchange(&self, exchange: Exchange) -> Result<()> {
        if let Some(room) = self.find(&exchange.room).await?
            && room.is_resident().await?
        {
            return room.exchange(exchange).await;
        }
        let server = exchange.sender.server_name();
        if server == self.context.server_name {
            return Err(Error::Forbidden(
                "Nobody is left in the room who could invite you".to_owned(),
            ));
        }
        let exchanged =
            self.peers()?
                .exchange_third_party_invite(server, &exchange.room, exchange.body());
        exchanged.await.map_err(refused)
    }
}

/// What the room knows of a third-party invite, and of the user who has the address.
struct Standing {
    /// They are invited or joined already.
    present: bool,
    /// The content of the `m.room.third_party_invite` event.
    issued: Option<Object>,
}

impl RoomHandle {
    /// The same, in a room that this server is in.
    pub(crate) async fn exchange(&self, exchange: Exchange) -> Result<()> {
        let (user, token) = (exchange.user.clone(), exchange.token.clone());
        let standing = self
            .run(move |room| Box::pin(async move { room.standing(&user, &token).await }))
            .await?;
        if standing.present {
            return Ok(());
        }
        let issued = standing.issued.ok_or_else(|| {
            Error::Forbidden("The room knows of no such invite, or it was taken back".to_owned())
        })?;
        let context = &self.context;
        context
            .check_invite(&exchange.sender, &exchange.user)
            .await?;
        context.check_listed_user(&exchange.user).await?;
        context.check_listed_room(&self.meta.id).await?;
        let draft = self.invite_of(&exchange, &issued).await?;
        // First the rules, the signature among them: no key is asked about that has signed nothing.
        let attempt = draft.clone();
        self.run(move |room| Box::pin(async move { room.propose(attempt).await.map(drop) }))
            .await?;
        self.check_keys(&issued, &exchange.signed).await?;
        if exchange.user.server_name() != context.server_name {
            return self.invite_through(&exchange.user, draft).await.map(drop);
        }
        let sent = self.run(move |room| Box::pin(async move { room.send(draft, None).await }));
        sent.await?.on_disk(self).await.map(drop)
    }

    async fn invite_of(&self, exchange: &Exchange, issued: &Object) -> Result<Draft> {
        let mut invite = object! { "signed" => exchange.signed.clone() };
        if let Some(name @ Value::String(_)) = issued.get("display_name") {
            invite.insert("display_name".to_owned(), name.clone());
        }
        let mut content = invite_content(&self.context, &exchange.user, false).await?;
        content.insert("membership".to_owned(), "invite".into());
        content.insert("third_party_invite".to_owned(), invite.into());
        Ok(Draft {
            room_id: Some(self.meta.id.clone()),
            sender: exchange.sender.clone(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(exchange.user.to_string()),
            content,
            redacts: None,
        })
    }

    /// Whether one of the keys by which the proof is signed is still valid: it is asked where the room says. Only the
    /// server that makes the invite asks; for all others the signature is enough, so that they agree.
    async fn check_keys(&self, issued: &Object, signed: &Object) -> Result<()> {
        let way = self.context.identity.way()?;
        let mut refusal =
            Error::Forbidden("The proof is signed by no key of the invite".to_owned());
        for key in auth::third_party_signers(issued, signed) {
            let Some(url) = key.key_validity_url else {
                return Ok(());
            };
            refusal = match way.is_valid(url, key.public_key).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(IdentityError::Refused { .. }) => Error::Forbidden(
                    "The key by which the proof is signed is not valid any more".to_owned(),
                ),
                Err(IdentityError::Unreachable(why)) => {
                    tracing::info!(room = %self.meta.id, url, why, "a key cannot be checked");
                    Error::Unreachable(
                        "The identity server does not say whether its key is still valid"
                            .to_owned(),
                    )
                }
            };
        }
        Err(refusal)
    }
}

impl Room {
    async fn standing(&self, user: &UserId, token: &str) -> Result<Standing> {
        let membership = self.membership(user).await?;
        let issued = self.state_event(THIRD_PARTY_INVITE, token).await?;
        Ok(Standing {
            present: matches!(membership.as_deref(), Some("invite" | "join")),
            issued: issued.map(|known| known.event.content().clone()),
        })
    }
}

impl Engine {
    /// Joins a room as whoever has an address that was invited there: `signed` is what the identity server proves it by.
    ///
    /// # Errors
    /// [`Error::BadJson`]: it proves nothing. [`Error::Forbidden`], [`Error::Denied`]: it proves something else, the key by
    /// which it was signed is not valid any more, or the invite was taken back. [`Error::Unreachable`]: whether the key is
    /// valid cannot be found out. Those of [`Engine::join`].
    pub async fn join_by_proof(
        &self,
        by: &Requester,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        reason: Option<String>,
        extra: Object,
        signed: Object,
    ) -> Result<()> {
        let sender = signed.get("sender").and_then(Value::as_str);
        let sender = sender.and_then(|sender| UserId::parse(sender).ok());
        let sender = sender.ok_or_else(|| {
            Error::BadJson("third_party_signed does not say who invites".to_owned())
        })?;
        let exchange = Exchange::new(room.to_owned(), sender, signed)?;
        if exchange.user != by.user_id {
            return Err(Error::Forbidden(
                "The invite is for somebody else".to_owned(),
            ));
        }
        self.rooms().exchange(exchange).await?;
        self.join(by, room, via, reason, extra).await
    }
}
