//! Redacting events: client-server API, "Redactions"; room versions, "Handling redactions".

use ruma::{EventId, OwnedEventId, UserId};
use spec::{
    auth::Power,
    event::Draft,
    json::{Object, Value},
};
use storage::{events, write::Txn};

use super::{Room, send::Sent};
use crate::{Error, Requester, Result, rooms::RoomHandle};

/// What users of this server do not redact, as in Synapse: emptied, the one would name no room and the other shut out all
/// servers.
const KEPT: [&str; 2] = ["m.room.create", "m.room.server_acl"];

/// A redaction to be sent.
#[derive(Clone, Debug)]
pub struct Redact {
    /// The event to be emptied.
    pub event_id: OwnedEventId,
    /// Why, and whatever else the client wants to say: the content of the redaction.
    pub content: Object,
    /// The client's transaction id.
    pub txn_id: Option<String>,
}

impl Redact {
    /// From the content of an `m.room.redaction` that a client sends as an ordinary event.
    pub(super) fn from_content(content: Object, txn_id: Option<String>) -> Result<Self> {
        let target = content
            .get("redacts")
            .and_then(Value::as_str)
            .ok_or_else(|| {
                Error::MissingParam(
                    "A redaction needs `redacts` with the event id in its content".to_owned(),
                )
            })?;
        let event_id = EventId::parse(target).map_err(|error| {
            Error::InvalidParam(format!("`redacts` is not an event id: {error}"))
        })?;
        Ok(Self {
            event_id,
            content,
            txn_id,
        })
    }
}

impl RoomHandle {
    /// Redacts one event; returns the id of the redaction when it is on disk.
    ///
    /// An event that this server does not have may be redacted too: the redaction applies when it arrives.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user neither sent the event nor has the redact level, or the room could not do without what
    /// it says. [`Error::Refused`]: it is an event of another room.
    pub async fn redact(&self, by: &Requester, ask: Redact) -> Result<OwnedEventId> {
        let scope = format!("redact/{}", ask.event_id);
        self.redact_in(by, ask, scope).await
    }

    /// The same; `scope` is the path of the request, within which the transaction id counts.
    pub(super) async fn redact_in(
        &self,
        by: &Requester,
        ask: Redact,
        scope: String,
    ) -> Result<OwnedEventId> {
        let Redact {
            event_id,
            mut content,
            txn_id,
        } = ask;
        let txn = self.txn(by, scope, txn_id);
        if let Some(earlier) = self.earlier(by, txn.as_ref()).await? {
            return Ok(earlier);
        }
        // `seal` writes it where the room version wants it.
        content.remove("redacts");
        let mut draft = self.draft(by, "m.room.redaction".to_owned(), None, content);
        draft.redacts = Some(event_id);
        self.run(move |room| Box::pin(async move { room.redact(draft, txn).await }))
            .await?
            .on_disk(self)
            .await
    }
}

impl Room {
    async fn redact(&mut self, draft: Draft, txn: Option<Txn>) -> Result<Sent> {
        let target = match &draft.redacts {
            Some(event_id) => self.target(event_id).await?,
            None => None,
        };
        match &target {
            Some(target) => {
                if KEPT.contains(&target.event.event_type()) {
                    return Err(Error::Forbidden(format!(
                        "{} events are not redacted: the room could not do without what they say",
                        target.event.event_type()
                    )));
                }
                if target.event.sender() != draft.sender
                    && !self.may_redact_others(&draft.sender)?
                {
                    return Err(Error::Forbidden(
                        "You may redact your own events only: your power level is below the room's redact level"
                            .to_owned(),
                    ));
                }
            }
            None => self.check_not_elsewhere(draft.redacts.as_deref()).await?,
        }
        self.send(draft, txn).await
    }

    /// # Errors
    /// [`Error::Refused`]: the event, which is not one of this room, is one of another.
    async fn check_not_elsewhere(&self, event_id: Option<&EventId>) -> Result<()> {
        let Some(event_id) = event_id else {
            return Ok(());
        };
        let found = events::by_id(self.context.store.reader(), event_id).await?;
        if found.is_some_and(|found| found.room != self.meta.row) {
            return Err(Error::Refused(
                "The event to be redacted is not one of this room".to_owned(),
            ));
        }
        Ok(())
    }

    fn may_redact_others(&self, user: &UserId) -> Result<bool> {
        let levels = self.power_levels()?;
        Ok(levels.user(user.as_str()) >= Power::Level(levels.redact()))
    }
}
