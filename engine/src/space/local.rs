//! The rooms of this server in a tree, read many at a time.

use std::collections::{HashMap, HashSet};

use ruma::{OwnedRoomId, room::RoomSummary};
use storage::{EventRow, RoomRow, members, summaries};

use super::{
    Node,
    child::{Child, in_order},
    is_space,
    viewer::{self, Viewer},
};
use crate::{
    Result,
    rooms::{RoomHandle, Rooms},
};

/// A room that users of this server are in.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub(super) summary: RoomSummary,
    /// Whether the viewer may see it.
    pub(super) visible: bool,
}

impl Rooms {
    /// Of these rooms, those that users of this server are in: the others are better known elsewhere. Rooms that are not
    /// open to other servers are not visible to them. A handful of queries, whichever number of rooms.
    pub(super) async fn locals(
        &self,
        rooms: &[OwnedRoomId],
        viewer: &Viewer,
    ) -> Result<HashMap<OwnedRoomId, Local>> {
        let context = &self.context;
        let db = context.store.reader();
        let metas = context.metas.by_ids(rooms).await?;
        let rows: Vec<RoomRow> = metas.iter().map(|meta| meta.row).collect();
        let resident = members::of_server_in(db, &context.server_name, &rows).await?;
        let resident: HashSet<RoomRow> = resident
            .into_iter()
            .filter(|(_, membership)| *membership == members::Membership::Join)
            .map(|(room, _)| room)
            .collect();
        let own = viewer.own(context, &rows).await?;
        let mut stored: HashMap<RoomRow, _> = summaries::by_rows(db, &rows)
            .await?
            .into_iter()
            .map(|summary| (summary.room, summary))
            .collect();
        let mut found = Vec::new();
        for meta in metas.iter().filter(|meta| resident.contains(&meta.row)) {
            if let Some(stored) = stored.remove(&meta.row) {
                let reachable = stored.federated || !matches!(viewer, Viewer::Server(_));
                found.push((meta.row, reachable, crate::summary::of(meta, stored)));
            }
        }
        let keys: Vec<OwnedRoomId> = found
            .iter()
            .flat_map(|(.., summary)| viewer::allowing(summary))
            .cloned()
            .collect();
        let joined = viewer.joined(context, &keys).await?;
        let local = |(row, reachable, summary): (RoomRow, bool, RoomSummary)| {
            let own = own.get(&row).copied();
            let visible = reachable && viewer::may_see(&summary, own, |room| joined.contains(room));
            (summary.room_id.clone(), Local { summary, visible })
        };
        Ok(found.into_iter().map(local).collect())
    }

    /// A room with its children.
    pub(super) async fn node(&self, summary: RoomSummary) -> Result<Node> {
        let children = if is_space(&summary) {
            self.by_id(&summary.room_id).await?.children().await?
        } else {
            Vec::new()
        };
        Ok(Node { summary, children })
    }
}

impl RoomHandle {
    /// The rooms that the room names as its children.
    pub(crate) async fn child_rooms(&self) -> Result<Vec<OwnedRoomId>> {
        let children = self.children().await?;
        Ok(children.into_iter().map(|child| child.room_id).collect())
    }

    /// The children that the room names, in order. Looks at all keys of the state.
    async fn children(&self) -> Result<Vec<Child>> {
        let state = self.current_state().await?;
        let keys: Vec<_> = state.keys().copied().collect();
        let names = self.context.store.state_keys().names(&keys).await?;
        let rows: Vec<EventRow> = state
            .values()
            .zip(names)
            .filter(|(_, (event_type, _))| event_type == "m.space.child")
            .map(|(row, _)| *row)
            .collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        let children = known.iter().filter_map(|known| Child::of(&known.event));
        Ok(in_order(children.collect()))
    }
}
