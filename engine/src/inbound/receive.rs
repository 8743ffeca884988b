//! Events of another server: server-server API, "Transactions".

use std::collections::BTreeMap;

use futures_util::future::join_all;
use ruma::{OwnedEventId, OwnedRoomId, RoomId, ServerName};
use spec::{
    event::Event,
    json::{Object, Value},
};

use super::Inbound;
use crate::{Error, Result, remote::check, rooms::RoomHandle};

impl Inbound {
    /// Takes in events: in order within a room, side by side across rooms. Answers for each why it was refused, if it
    /// was. An event that the rules reject is no error: it is stored as what it is.
    pub async fn pdus(
        &self,
        origin: &ServerName,
        pdus: Vec<Object>,
    ) -> BTreeMap<OwnedEventId, std::result::Result<(), String>> {
        let mut rooms: BTreeMap<OwnedRoomId, Vec<Object>> = BTreeMap::new();
        for pdu in pdus {
            // What names no room cannot even be called by an id: it is dropped.
            let room = pdu
                .get("room_id")
                .and_then(Value::as_str)
                .map(RoomId::parse);
            if let Some(Ok(room)) = room {
                rooms.entry(room).or_default().push(pdu);
            }
        }
        let rooms = rooms
            .into_iter()
            .map(|(room, pdus)| self.pdus_of(origin, room, pdus));
        join_all(rooms).await.into_iter().flatten().collect()
    }

    async fn pdus_of(
        &self,
        origin: &ServerName,
        room: OwnedRoomId,
        pdus: Vec<Object>,
    ) -> Vec<(OwnedEventId, std::result::Result<(), String>)> {
        let room_id = room;
        let room = match self.resident_room(origin, &room_id).await {
            Ok(room) => room,
            Err(error) => {
                // Of a room that is not known the version is not either, and so not the ids of events.
                tracing::debug!(room = %room_id, %origin, %error, "events of a room are refused");
                let withdrawn = self.withdraw_invites(origin, &room_id, pdus).await;
                let withdrawn = withdrawn.unwrap_or_default().into_iter();
                return withdrawn.map(|id| (id, Ok(()))).collect();
            }
        };
        let mut results = Vec::with_capacity(pdus.len());
        for checked in check(&room.context, room.meta.version, pdus).await {
            match checked {
                Ok(event) => {
                    let id = event.id().to_owned();
                    let taken = self.take(origin, &room, event).await;
                    results.push((id, taken.map_err(|error| error.to_string())));
                }
                Err(flaw) => {
                    tracing::info!(room = %room.meta.id, %origin, flaw, "an event is dropped")
                }
            }
        }
        results
    }

    async fn take(&self, origin: &ServerName, room: &RoomHandle, event: Event) -> Result<()> {
        if event.room_id() != room.meta.id {
            return Err(Error::Refused("The event is of another room".to_owned()));
        }
        room.check_acl(event.sender().server_name()).await?;
        room.take(origin, event).await.map(drop)
    }
}
