//! What of an event is shown to whom it notifies.

use std::sync::Arc;

use ruma::{UserId, push::Action};
use spec::{event::Event, json::Value};
use storage::notifications::Notification;

use crate::{Error, Result, context::Context};

/// An event, and what else may be shown of it.
pub(super) struct Shown {
    pub(super) event: Arc<Event>,
    pub(super) sender_display_name: Option<String>,
    pub(super) room_name: Option<String>,
    pub(super) room_alias: Option<String>,
    /// Whether it is about the membership of whom it is shown to.
    pub(super) user_is_target: bool,
    pub(super) actions: Vec<Action>,
}

impl Context {
    /// What is shown of an event that notifies a user; `None` if they sent it themselves, or nothing is left of it,
    /// or it is deleted.
    pub(super) async fn shown(&self, user: &UserId, row: &Notification) -> Result<Option<Shown>> {
        let found = self.events.find_many(&self.metas, &[row.event]).await?;
        let Some(known) = found.first() else {
            return Ok(None);
        };
        let event = &known.event;
        if event.sender() == user || known.redacted_by.is_some() {
            return Ok(None);
        }
        let pairs = [
            ("m.room.member", event.sender().as_str()),
            ("m.room.name", ""),
            ("m.room.canonical_alias", ""),
        ];
        let state = self.state_events(known.snapshot, &pairs).await?;
        let text = |index: usize, key: &str| {
            let (event_type, state_key) = pairs[index];
            match &state[index] {
                Some(found) => text(found.event.content().get(key)),
                // The room of an invite, as the inviting server shows it.
                None => text(shown_with(event, event_type, state_key)?.get(key)),
            }
        };
        Ok(Some(Shown {
            event: Arc::clone(event),
            sender_display_name: text(0, "displayname"),
            room_name: text(1, "name"),
            room_alias: text(2, "alias"),
            user_is_target: event.is("m.room.member", user.as_str()),
            actions: serde_json::from_str(&row.actions)
                .map_err(|error| Error::Internal(format!("push actions: {error}")))?,
        }))
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    Some(value?.as_str()?.to_owned())
}

/// The content of a state event that came along with an invite.
fn shown_with<'a>(invite: &'a Event, event_type: &str, state_key: &str) -> Option<&'a Value> {
    let list = invite.unsigned()?.get("invite_room_state")?.as_array()?;
    let is = |event: &&Value, key: &str, text: &str| {
        event.get(key).and_then(|value| value.as_str()) == Some(text)
    };
    let mut found = list
        .iter()
        .filter(|event| is(event, "type", event_type) && is(event, "state_key", state_key));
    found.next()?.get("content")
}
