//! Events as a server may see them: client-server API, "Room history visibility", for all users of the server.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::ServerName;
use spec::{
    auth::Membership,
    event::Event,
    json::Object,
    visibility::{self, HistoryVisibility},
};
use storage::{EventRow, SnapshotRow, StateKeyRow, members};

use crate::{Result, events::KnownEvent, rooms::RoomHandle};

impl RoomHandle {
    /// Events in the form for a server: emptied where the history is hidden from all of its users at the event; what its
    /// sender had erased is hidden from those who were not there. In the same order; a fixed number of queries for all of them.
    pub(super) async fn for_server(
        &self,
        server: &ServerName,
        events: Vec<Arc<KnownEvent>>,
    ) -> Result<Vec<Object>> {
        let visibilities = self.visibilities(&events).await?;
        let erased = self.context.erased.users().await?;
        let of = |known: &KnownEvent| {
            if erased.contains(known.event.sender()) {
                return HistoryVisibility::Joined;
            }
            let visibility = known.snapshot.and_then(|at| visibilities.get(&at));
            visibility.copied().unwrap_or(HistoryVisibility::Shared)
        };
        let restricted: Vec<SnapshotRow> = events
            .iter()
            .filter(|known| {
                matches!(
                    of(known),
                    HistoryVisibility::Invited | HistoryVisibility::Joined
                )
            })
            .filter_map(|known| known.snapshot)
            .collect();
        let memberships = self.memberships_of(server, restricted).await?;
        let form = |known: &Arc<KnownEvent>| {
            let theirs = known.snapshot.and_then(|at| memberships.get(&at));
            let theirs = theirs.into_iter().flatten().copied();
            let event = known.event.with_unsigned(None);
            if visibility::may_see_server(&event, server.as_str(), of(known), theirs) {
                return event.object().clone();
            }
            event.redacted(self.meta.version).object().clone()
        };
        Ok(events.iter().map(form).collect())
    }

    /// The visibility in each state before these events.
    async fn visibilities(
        &self,
        events: &[Arc<KnownEvent>],
    ) -> Result<HashMap<SnapshotRow, HistoryVisibility>> {
        let key = self.state_key("m.room.history_visibility", "").await?;
        let snapshots = events.iter().filter_map(|known| known.snapshot).collect();
        let found = self.held(snapshots, key.as_slice()).await?;
        let visibility =
            |events: &[Arc<Event>]| HistoryVisibility::of(events.first().map(AsRef::as_ref));
        Ok(found
            .iter()
            .map(|(at, events)| (*at, visibility(events)))
            .collect())
    }

    /// The memberships of all users of a server in each of these states.
    async fn memberships_of(
        &self,
        server: &ServerName,
        snapshots: Vec<SnapshotRow>,
    ) -> Result<HashMap<SnapshotRow, Vec<Membership>>> {
        if snapshots.is_empty() {
            return Ok(HashMap::new());
        }
        let users = members::of_server(self.context.store.reader(), self.meta.row, server).await?;
        let pairs: Vec<(&str, &str)> = users
            .iter()
            .map(|user| ("m.room.member", user.as_str()))
            .collect();
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let keys: Vec<StateKeyRow> = keys.into_iter().flatten().collect();
        let found = self.held(snapshots.into_iter().collect(), &keys).await?;
        let memberships = |events: Vec<Arc<Event>>| {
            let events = events.iter();
            events
                .map(|event| Membership::of(Some(event)))
                .collect::<Vec<_>>()
        };
        Ok(found
            .into_iter()
            .map(|(at, events)| (at, memberships(events)))
            .collect())
    }

    /// The events that hold these keys in each of some states.
    async fn held(
        &self,
        snapshots: BTreeSet<SnapshotRow>,
        keys: &[StateKeyRow],
    ) -> Result<HashMap<SnapshotRow, Vec<Arc<Event>>>> {
        let context = &self.context;
        let found = context.states.lookup(snapshots, keys).await?;
        let rows: BTreeSet<EventRow> = found.values().flatten().flatten().copied().collect();
        let rows: Vec<EventRow> = rows.into_iter().collect();
        let known = context.events.get_many(&context.metas, &rows).await?;
        let events: HashMap<EventRow, Arc<Event>> = known
            .iter()
            .map(|known| (known.row, known.event.clone()))
            .collect();
        let events_of = |rows: Vec<Option<EventRow>>| {
            let rows = rows.into_iter().flatten();
            rows.filter_map(|row| events.get(&row).cloned()).collect()
        };
        Ok(found
            .into_iter()
            .map(|(at, rows)| (at, events_of(rows)))
            .collect())
    }
}
