//! Putting an accepted event of another server into the room: extremities, current state, memberships.

use std::sync::Arc;

use imbl::ordmap::DiffItem;
use ruma::{EventId, OwnedEventId};
use spec::event::{Event, Parent};
use storage::{
    EventRow, Logged, SnapshotRow,
    members::Membership,
    write::{NewEvent, NewMembership, Outcome, Place, Resettled},
};

use super::{Extremity, Pending, Room, receive::is_placed};
use crate::{Result, events::KnownEvent, states::StateMap};

impl Room {
    /// Enters a room through another server: `state` is the one before the `join`, whose events are stored. What the room
    /// was here before counts no more.
    pub(crate) async fn enter(&mut self, join: Event, state: StateMap) -> Result<Pending> {
        if let Err(denied) = self.allowed_by(&join, &state).await? {
            return Err(denied.into());
        }
        self.extremities.clear();
        let hints: Vec<SnapshotRow> = self.lineage.row().into_iter().collect();
        let snapshot = self.snapshot_of(&state, &hints).await?;
        // The server through which the user joins brings the join to the others.
        let gap = self.lacks_parents(&join).await?;
        self.accept(join, None, state, snapshot, false, gap).await?;
        Ok(self.commit().await)
    }

    /// Whether some of an event's parents are not part of the timeline.
    pub(super) async fn lacks_parents(&self, event: &Event) -> Result<bool> {
        let parents = event.prev_events();
        let borrowed: Vec<&EventId> = parents.iter().map(AsRef::as_ref).collect();
        let found = self.find(&borrowed).await?;
        let in_timeline = |id: &OwnedEventId| found.get(id).is_some_and(|known| is_placed(known));
        Ok(!parents.iter().all(in_timeline))
    }

    /// Puts an accepted event into the room: extremities, current state, memberships. It is written with the next
    /// [`Room::commit`]. `gap`: some of its parents are not in the timeline.
    pub(super) async fn accept(
        &mut self,
        event: Event,
        row: Option<EventRow>,
        before: StateMap,
        snapshot: Option<SnapshotRow>,
        outgoing: bool,
        gap: bool,
    ) -> Result<Arc<KnownEvent>> {
        let promoted = row.is_some();
        let row = row.unwrap_or_else(|| self.context.store.ids().next_event());
        let mut after = before.clone();
        let mut key = None;
        let mut replaces = None;
        if let Some(state_key) = event.state_key() {
            let resolved = self
                .context
                .store
                .state_keys()
                .resolve(&[(event.event_type(), state_key)])
                .await?;
            self.batch.plain.extend(resolved.inserts);
            key = Some(resolved.rows[0]);
            replaces = after.insert(resolved.rows[0], row);
        }
        let event = Arc::new(event);
        let known = Arc::new(KnownEvent {
            row,
            json_bytes: event.to_json().len(),
            event: event.clone(),
            outcome: Outcome::Accepted,
            snapshot,
            replaces,
            redacted_by: None,
            txn: None,
            unwritten: self.batch.under_way.watch(),
        });
        self.remember(&known);
        let prev: Vec<_> = event.prev_events().to_vec();
        self.extremities
            .retain(|extremity| !prev.contains(&extremity.parent.id));
        let parent = Parent::of(self.meta.version, &event);
        self.extremities.push(Extremity { row, parent });
        let old = self.state.clone();
        self.state = self.current_after(row, after).await?;
        let hints: Vec<SnapshotRow> = snapshot.into_iter().chain(self.lineage.row()).collect();
        if self.state != old {
            self.move_lineage(&hints).await?;
            self.deciding = self.read_deciding().await?;
            self.read_policy().await?;
        }
        let expected = match key {
            Some(key) => old.update(key, row),
            None => old.clone(),
        };
        let resettled = if self.state == expected {
            None
        } else {
            Some(self.resettled(&old, row).await?)
        };
        self.batch.logged.push(Logged::Event(NewEvent {
            row,
            room: self.meta.row,
            event: event.clone(),
            outcome: Outcome::Accepted,
            state_key: key,
            snapshot,
            current: self.lineage.row(),
            replaces,
            place: Place::New,
            txn: None,
            membership: self.own_membership(&event, row, key),
            gap,
            resettled,
            promoted,
            outgoing,
        }));
        Ok(known)
    }

    /// Lets an event be found that is not written yet.
    pub(super) fn remember(&mut self, known: &Arc<KnownEvent>) {
        self.context.events.put(known.clone());
        self.recent_events
            .remember(known.event.id().to_owned(), known.row);
    }

    /// What a member event makes of its user, if it is part of the current state.
    pub(super) fn own_membership(
        &self,
        event: &Event,
        row: EventRow,
        key: Option<storage::StateKeyRow>,
    ) -> Option<NewMembership> {
        let current = key.and_then(|key| self.state.get(&key));
        super::new_membership(event).filter(|_| current == Some(&row))
    }

    /// What the way from the state `old` to the current one makes of users, apart from what the event `row` says itself.
    pub(super) async fn resettled(&self, old: &StateMap, row: EventRow) -> Result<Resettled> {
        let mut changed = Vec::new();
        let mut lost = Vec::new();
        for item in old.diff(&self.state) {
            match item {
                DiffItem::Add(_, new) | DiffItem::Update { new: (_, new), .. } => {
                    changed.push(*new);
                }
                DiffItem::Remove(_, gone) => lost.push(*gone),
            }
        }
        changed.retain(|changed| *changed != row);
        let (events, metas) = (&self.context.events, &self.context.metas);
        let mut members = Vec::new();
        for known in events.get_many(metas, &changed).await? {
            let membership = super::new_membership(&known.event);
            members.extend(membership.map(|membership| (known.row, membership)));
        }
        // A membership that was dropped altogether: the user is in the room no more.
        for known in events.get_many(metas, &lost).await? {
            if let Some(was) = super::new_membership(&known.event) {
                let membership = NewMembership {
                    sender: was.user_id.clone(),
                    user_id: was.user_id,
                    membership: Membership::Leave,
                    displayname: None,
                    avatar_url: None,
                };
                members.push((known.row, membership));
            }
        }
        Ok(Resettled { members })
    }
}
