//! Receipts and typing: `ephemeral` of a joined room.

use std::collections::BTreeMap;

use ruma::{
    api::client::sync::sync_events::v3::Ephemeral, events::AnySyncEphemeralRoomEvent, serde::Raw,
};
use serde_json::{Value, json};
use storage::{receipts::StoredReceipt, write::NewReceipt};

use super::{Build, filter};
use crate::{Error, Result, rooms::RoomHandle};

/// The kind of receipt that nobody but its user sees.
pub(super) const PRIVATE: &str = "m.read.private";

/// How far somebody has read.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) user_id: String,
    kind: String,
    /// Empty for none.
    thread_id: String,
    event_id: String,
    ts: i64,
}

impl From<&NewReceipt> for Receipt {
    fn from(new: &NewReceipt) -> Self {
        Self {
            user_id: new.user_id.to_string(),
            kind: new.kind.clone(),
            thread_id: new.thread_id.clone(),
            event_id: new.event_id.to_string(),
            ts: new.ts,
        }
    }
}

impl From<&StoredReceipt> for Receipt {
    fn from(stored: &StoredReceipt) -> Self {
        Self {
            user_id: stored.user_id.clone(),
            kind: stored.kind.clone(),
            thread_id: stored.thread_id.clone(),
            event_id: stored.event_id.clone(),
            ts: stored.ts,
        }
    }
}

impl Build<'_> {
    /// One event of all receipts, and one of who is typing if `typing`: it changed, or somebody is.
    pub(super) fn ephemeral(
        &self,
        room: &RoomHandle,
        receipts: &[Receipt],
        typing: bool,
    ) -> Result<Ephemeral> {
        let wanted =
            |kind| filter::allows(&self.ask.filter.room.ephemeral, kind, None, &room.meta.id);
        let mut ephemeral = Ephemeral::new();
        if wanted("m.receipt")
            && let Some(content) = self.receipts(receipts)
        {
            ephemeral.events.push(raw("m.receipt", &content)?);
        }
        let users = room.context.typing.users(room.meta.row);
        if typing && wanted("m.typing") {
            ephemeral
                .events
                .push(raw("m.typing", &json!({ "user_ids": users }))?);
        }
        Ok(ephemeral)
    }

    /// Receipts as event id, kind, user: `ts` and thread. Private ones of others are left out.
    ///
    /// The shape has room for one receipt a user, kind and event. Where one without a thread and one with a thread
    /// clash, the one without is shown.
    pub(super) fn receipts(&self, receipts: &[Receipt]) -> Option<Value> {
        let mut content: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, Value>>> = BTreeMap::new();
        let (threaded, unthreaded): (Vec<_>, Vec<_>) = receipts
            .iter()
            .partition(|receipt| !receipt.thread_id.is_empty());
        for receipt in threaded.into_iter().chain(unthreaded) {
            if receipt.kind == PRIVATE && receipt.user_id != self.by.user_id {
                continue;
            }
            let mut data = json!({ "ts": receipt.ts });
            if !receipt.thread_id.is_empty() {
                data["thread_id"] = Value::from(receipt.thread_id.as_str());
            }
            content
                .entry(receipt.event_id.as_str())
                .or_default()
                .entry(&receipt.kind)
                .or_default()
                .insert(receipt.user_id.as_str(), data);
        }
        (!content.is_empty()).then(|| json!(content))
    }
}

/// An ephemeral event.
pub(super) fn raw(event_type: &str, content: &Value) -> Result<Raw<AnySyncEphemeralRoomEvent>> {
    let event = Raw::new(&json!({ "type": event_type, "content": content }));
    Ok(event
        .map_err(|error| Error::Internal(format!("an ephemeral event: {error}")))?
        .cast_unchecked())
}
