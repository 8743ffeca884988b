//! Account data, and what else a client gets of rooms that it knows nothing of.

use std::{collections::HashMap, sync::Arc};

use ruma::{
    events::{AnyGlobalAccountDataEvent, AnyRoomAccountDataEvent},
    serde::Raw,
};
use serde::Serialize;
use serde_json::value::RawValue;
use storage::{
    Position, RoomRow,
    account_data::{self, StoredAccountData},
    receipts,
    write::NewAccountData,
};

use super::{Build, ephemeral::Receipt, filter};
use crate::{
    Error, Result,
    account_data::is_deleted,
    push::{
        rules::{self, PUSH_RULES},
        unread::Tally,
    },
    rooms::RoomHandle,
};

/// One type of account data.
#[derive(Clone, Debug)]
pub(super) struct Datum {
    event_type: String,
    /// A JSON object.
    content: String,
}

impl From<&NewAccountData> for Datum {
    fn from(new: &NewAccountData) -> Self {
        Self {
            event_type: new.event_type.clone(),
            content: new.content.clone(),
        }
    }
}

impl From<&StoredAccountData> for Datum {
    fn from(stored: &StoredAccountData) -> Self {
        Self {
            event_type: stored.event_type.clone(),
            content: stored.content.clone(),
        }
    }
}

/// What a room has besides its events.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) receipts: Vec<Receipt>,
    pub(super) account_data: Vec<Datum>,
    /// What the user has not read.
    pub(super) unread: Option<Arc<Tally>>,
}

impl Build<'_> {
    /// All receipts, the user's account data, and what is unread of these rooms, in order. Three queries for 256 rooms.
    pub(super) async fn all_extras(&self, rooms: &[RoomRow]) -> Result<Vec<Extra>> {
        let db = self.rooms.context.store.reader();
        let mut extras: HashMap<RoomRow, Extra> = HashMap::new();
        for receipt in receipts::since(db, rooms, Position::MIN, self.to.position).await? {
            extras
                .entry(receipt.room)
                .or_default()
                .receipts
                .push(Receipt::from(&receipt));
        }
        for data in
            account_data::since(db, &self.by.user_id, Position::MIN, self.to.position).await?
        {
            if let Some(room) = data.room()
                && !is_deleted(&data.content)
            {
                extras
                    .entry(room)
                    .or_default()
                    .account_data
                    .push(Datum::from(&data));
            }
        }
        for (room, tally) in self.rooms.context.unread(&self.by.user_id, rooms).await? {
            extras.entry(room).or_default().unread = Some(tally);
        }
        Ok(rooms
            .iter()
            .map(|room| extras.remove(room).unwrap_or_default())
            .collect())
    }

    /// The user's global account data: what `changed`, or for `None` all of it, push rules always among it.
    pub(super) async fn global_account_data(
        &self,
        changed: Option<Vec<Datum>>,
    ) -> Result<Vec<Raw<AnyGlobalAccountDataEvent>>> {
        let data = match changed {
            Some(changed) => newest(changed),
            None => {
                let db = self.rooms.context.store.reader();
                let stored = account_data::of_room(db, &self.by.user_id, None).await?;
                let stored = stored.iter().filter(|data| !is_deleted(&data.content));
                let mut data: Vec<Datum> = stored.map(Datum::from).collect();
                let rules = data.iter().find(|datum| datum.event_type == PUSH_RULES);
                let rules = rules.map(|datum| datum.content.as_str());
                let rules = rules::parse(&self.by.user_id, rules)?;
                data.retain(|datum| datum.event_type != PUSH_RULES);
                data.push(Datum {
                    event_type: PUSH_RULES.to_owned(),
                    content: rules::content(&rules)?,
                });
                data
            }
        };
        let wanted = &self.ask.filter.account_data;
        data.into_iter()
            .filter(|data| {
                filter::allows_type(wanted.types.as_deref(), &wanted.not_types, &data.event_type)
            })
            .map(|data| raw(&data))
            .collect()
    }

    /// The user's data of a room that they are no longer in: what changed after `from`, or for `None` all of it.
    pub(super) async fn left_account_data(
        &self,
        room: &RoomHandle,
        from: Option<Position>,
    ) -> Result<Vec<Datum>> {
        let db = self.rooms.context.store.reader();
        let stored = account_data::of_room(db, &self.by.user_id, Some(room.meta.row)).await?;
        let stored = stored.iter().filter(|data| match from {
            Some(from) => data.position > from && data.position <= self.to.position,
            None => !is_deleted(&data.content) && data.position <= self.to.position,
        });
        Ok(stored.map(Datum::from).collect())
    }

    /// The user's account data of a room.
    pub(super) fn room_account_data(
        &self,
        room: &RoomHandle,
        data: Vec<Datum>,
    ) -> Result<Vec<Raw<AnyRoomAccountDataEvent>>> {
        let wanted = &self.ask.filter.room.account_data;
        newest(data)
            .into_iter()
            .filter(|data| filter::allows(wanted, &data.event_type, None, &room.meta.id))
            .map(|data| raw(&data))
            .collect()
    }
}

/// Of each type the last one.
pub(super) fn newest(data: Vec<Datum>) -> Vec<Datum> {
    let mut by_type = std::collections::BTreeMap::new();
    for data in data {
        by_type.insert(data.event_type.clone(), data);
    }
    by_type.into_values().collect()
}

/// Account data as an event.
pub(super) fn raw<T>(data: &Datum) -> Result<Raw<T>> {
    #[derive(Serialize)]
    struct Event<'a> {
        content: &'a RawValue,
        #[serde(rename = "type")]
        event_type: &'a str,
    }
    let broken =
        |error: serde_json::Error| Error::Internal(format!("stored account data: {error}"));
    let content: &RawValue = serde_json::from_str(&data.content).map_err(broken)?;
    let event = Event {
        content,
        event_type: &data.event_type,
    };
    Ok(Raw::from_json(
        serde_json::value::to_raw_value(&event).map_err(broken)?,
    ))
}
