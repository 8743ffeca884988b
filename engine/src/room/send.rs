//! Sending message events and state events: client-server API, "Sending events to a room".

use ruma::{EventId, OwnedEventId, ServerName};
use spec::{acl::ServerAcl, auth, event::Draft, json::Object, room_version::RoomVersion};
use storage::{events, write::Txn};

use super::{Pending, Room, policy::Unsigned, redact};
use crate::{Error, Requester, Result, retention, rooms::RoomHandle};

/// A message event to be sent.
#[derive(Clone, Debug)]
pub struct Send {
    /// Its type.
    pub event_type: String,
    /// Its content.
    pub content: Object,
    /// The client's transaction id, which makes a repeated request harmless.
    pub txn_id: Option<String>,
}

/// A state event to be set.
#[derive(Clone, Debug)]
pub struct SetState {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content.
    pub content: Object,
}

/// An event that was built.
pub(crate) enum Sent {
    /// It is part of the room, and its write is on its way.
    Written {
        event_id: OwnedEventId,
        pending: Pending,
    },
    /// The policy server of the room must sign it first.
    Unsigned(Box<Unsigned>),
}

impl Sent {
    /// The event's id, once it is on disk. `room` is the room that built it.
    ///
    /// # Errors
    /// Those of [`RoomHandle::sign_and_place`].
    pub(crate) async fn on_disk(self, room: &RoomHandle) -> Result<OwnedEventId> {
        match self {
            Self::Written { event_id, pending } => {
                pending.wait().await?;
                Ok(event_id)
            }
            Self::Unsigned(unsigned) => room.sign_and_place(*unsigned).await,
        }
    }
}

impl RoomHandle {
    /// Sends a message event; returns when it is on disk.
    ///
    /// A repeated `txn_id` of the same device, type and room gets the first answer, and nothing is written.
    ///
    /// # Errors
    /// [`Error::Denied`]: the rules refuse it. [`Error::BadJson`]: the content is not what the room version allows.
    /// [`Error::TooLarge`]: the event would be over 65,536 bytes. [`Error::DuplicateAnnotation`], [`Error::Refused`]: it
    /// relates to another event in a way that is not allowed. [`Error::Policy`], [`Error::Unreachable`]: the policy
    /// server of the room refuses it, or gives no usable answer.
    pub async fn send(&self, by: &Requester, ask: Send) -> Result<OwnedEventId> {
        if ask.event_type == "m.room.redaction" {
            let scope = format!("send/{}", ask.event_type);
            let ask = redact::Redact::from_content(ask.content, ask.txn_id)?;
            return self.redact_in(by, ask, scope).await;
        }
        refuse_create(&ask.event_type)?;
        let scope = format!("send/{}", ask.event_type);
        let txn = self.txn(by, scope, ask.txn_id);
        if let Some(earlier) = self.earlier(by, txn.as_ref()).await? {
            return Ok(earlier);
        }
        let draft = self.draft(by, ask.event_type, None, ask.content);
        self.context.typing.stop(self.meta.row, &by.user_id);
        self.context.presence.active(&by.user_id);
        self.run(move |room| Box::pin(async move { room.send(draft, txn).await }))
            .await?
            .on_disk(self)
            .await
    }

    /// Sets a state event; returns when it is on disk. Content that is current already makes no event.
    ///
    /// # Errors
    /// Those of [`RoomHandle::send`], and for memberships those of the membership verbs.
    pub async fn set_state(&self, by: &Requester, ask: SetState) -> Result<OwnedEventId> {
        refuse_create(&ask.event_type)?;
        if ask.event_type == "m.room.member" {
            return self.set_member(by, &ask.state_key, ask.content).await;
        }
        if ask.event_type == "m.room.canonical_alias" {
            self.check_canonical_alias(&ask.content).await?;
        }
        let version = self.meta.version;
        check_state(
            &self.context.server_name,
            version,
            (&ask.event_type, &ask.state_key),
            &ask.content,
        )?;
        if ask.event_type == "m.room.tombstone" {
            self.check_tombstone(&ask.content)?;
        }
        let draft = self.draft(by, ask.event_type, Some(ask.state_key), ask.content);
        self.run(move |room| Box::pin(async move { room.set_state(draft).await }))
            .await?
            .on_disk(self)
            .await
    }

    /// A draft by `by` for this room.
    pub(crate) fn draft(
        &self,
        by: &Requester,
        event_type: String,
        state_key: Option<String>,
        content: Object,
    ) -> Draft {
        Draft {
            room_id: Some(self.meta.id.clone()),
            sender: by.user_id.clone(),
            event_type,
            state_key,
            content,
            redacts: None,
        }
    }

    /// The transaction of a request; none without a device or an id.
    pub(crate) fn txn(&self, by: &Requester, scope: String, id: Option<String>) -> Option<Txn> {
        let device = by.device_id.as_ref()?.to_string();
        Some(Txn {
            device,
            scope: format!("{}/{scope}", self.meta.row),
            id: id?,
        })
    }

    /// The event that an earlier request with the same transaction became. One query if there may have been one.
    pub(crate) async fn earlier(
        &self,
        by: &Requester,
        txn: Option<&Txn>,
    ) -> Result<Option<OwnedEventId>> {
        let Some(txn) = txn else { return Ok(None) };
        let transactions = &self.context.transactions;
        if !transactions.may_be_used(&by.user_id, txn).await? {
            return Ok(None);
        }
        let stored = events::by_txn(self.context.store.reader(), &by.user_id, txn).await?;
        stored
            .map(|stored| stored.event_id())
            .transpose()
            .map_err(Error::from)
    }
}

impl Room {
    /// Appends and commits one event, unless its transaction has been seen, or the policy server must sign it first.
    pub(crate) async fn send(&mut self, draft: Draft, txn: Option<Txn>) -> Result<Sent> {
        if let Some(sent) = self.repeated(draft.sender.as_str(), txn.as_ref()).await {
            return Ok(sent);
        }
        self.check_relation(&draft).await?;
        if let Some(unsigned) = self.unsigned(&draft, txn.as_ref()).await? {
            return Ok(unsigned);
        }
        let event_id = self.append(draft, txn).await?.event.id().to_owned();
        Ok(self.sent(&event_id).await)
    }

    /// The answer to a request that repeats one which may still be on its way to the disk.
    pub(super) async fn repeated(&self, sender: &str, txn: Option<&Txn>) -> Option<Sent> {
        let event_id = self.recent_sends.find(sender, txn?)?.clone();
        Some(Sent::Written {
            event_id,
            pending: self.flushed().await,
        })
    }

    /// Commits what was built, of which `event_id` is the answer.
    pub(super) async fn sent(&mut self, event_id: &EventId) -> Sent {
        Sent::Written {
            event_id: event_id.to_owned(),
            pending: self.commit().await,
        }
    }

    /// Sets state. Content that the same sender has set already makes no event.
    pub(crate) async fn set_state(&mut self, draft: Draft) -> Result<Sent> {
        let state_key = draft.state_key.as_deref().unwrap_or_default();
        if let Some(current) = self.state_event(&draft.event_type, state_key).await?
            && current.event.sender() == draft.sender
            && *current.event.content() == draft.content
        {
            // It may have been built a moment ago.
            return Ok(Sent::Written {
                event_id: current.event.id().to_owned(),
                pending: self.flushed().await,
            });
        }
        self.send(draft, None).await
    }
}

/// What the users of this server may set is stricter than the rules of rooms.
///
/// # Errors
/// [`Error::Refused`]: an access list shuts out this server. [`Error::Denied`]: a power level is no number, which only other
/// servers may send in the versions that allow it. Those of [`retention::check`].
pub(super) fn check_state(
    own: &ServerName,
    version: &RoomVersion,
    place: (&str, &str),
    content: &Object,
) -> Result<()> {
    match place {
        ("m.room.server_acl", "") if !ServerAcl::parse(content).allows(own.as_str()) => Err(
            Error::Refused("This list would shut out this server itself".to_owned()),
        ),
        ("m.room.power_levels", "") => Ok(auth::check_new_levels(version, content)?),
        ("m.room.retention", _) => retention::check(content),
        _ => Ok(()),
    }
}

/// Only creating a room makes its create event.
fn refuse_create(event_type: &str) -> Result<()> {
    if event_type == "m.room.create" {
        return Err(Error::Refused(
            "A room has one m.room.create event, from its creation".to_owned(),
        ));
    }
    Ok(())
}
