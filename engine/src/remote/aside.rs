//! Memberships in rooms that this server is not in: invites, knocks, and what ends them. Their events have a position, so
//! that the user hears of them, and no place in a timeline.

use std::sync::Arc;

use spec::{
    event::Event,
    json::{Object, Value},
};
use storage::{
    Logged, Write,
    write::{NewEvent, Outcome, Place},
};

use crate::{Error, Result, room::new_membership, rooms::RoomHandle};

/// How many events of a room, as another server gives them along with an invite or a knock, are kept.
const ROOM_STATE_MAX: usize = 100;

impl RoomHandle {
    /// Keeps a membership event of a local user. Once more is harmless.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it is none.
    pub(crate) async fn keep_aside(&self, event: Event) -> Result<()> {
        let membership = new_membership(&event);
        let membership = membership
            .ok_or_else(|| Error::InvalidParam("This is no membership event".to_owned()))?;
        let pair = ("m.room.member", membership.user_id.as_str());
        let resolved = self.context.store.state_keys().resolve(&[pair]).await?;
        let logged = Logged::Event(NewEvent {
            row: self.context.store.ids().next_event(),
            room: self.meta.row,
            event: Arc::new(event),
            outcome: Outcome::Outlier,
            state_key: Some(resolved.rows[0]),
            snapshot: None,
            current: None,
            replaces: None,
            place: Place::New,
            txn: None,
            membership: Some(membership),
            gap: false,
            resettled: None,
            promoted: false,
            outgoing: false,
        });
        let write = Write {
            plain: resolved.inserts,
            logged: vec![logged],
            ..Write::default()
        };
        match self.context.store.write(write).await {
            // The same event again.
            Err(storage::Error::Conflict(_)) => Ok(()),
            written => Ok(written.map(drop)?),
        }
    }
}

/// What a client may know of the room of an invite or a knock, as another server gave it: stripped, and at most
/// [`ROOM_STATE_MAX`] events.
pub(crate) fn stripped_state(room_state: &[Object]) -> Value {
    let well_formed = |event: &&Object| {
        let text = |key: &str| event.get(key).and_then(Value::as_str).is_some();
        let has_content = event.get("content").and_then(Value::as_object).is_some();
        text("type") && text("sender") && text("state_key") && has_content
    };
    let strip = |event: &Object| {
        let is_create = event.get("type").and_then(Value::as_str) == Some("m.room.create");
        // Who knows the whole create event can check the id of the room: it is shown with its time.
        let time = is_create.then_some("origin_server_ts");
        let keys = ["content", "sender", "state_key", "type"].into_iter();
        keys.chain(time)
            .filter_map(|key| Some((key.to_owned(), event.get(key)?.clone())))
            .collect::<Object>()
    };
    let events = room_state.iter().filter(well_formed).take(ROOM_STATE_MAX);
    Value::Array(events.map(|event| Value::Object(strip(event))).collect())
}
