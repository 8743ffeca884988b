//! State: client-server API, `GET /rooms/{roomId}/state` and below.

use std::sync::Arc;

use ruma::{events::AnyStateEvent, serde::Raw};
use storage::EventRow;

use super::{access::Access, view::View};
use crate::{
    Error, Requester, Result, Subject, context::Context, events::KnownEvent, rooms::RoomHandle,
    states::StateMap,
};

impl Context {
    /// The events that hold these places in a state, in order. Two queries at most.
    pub(crate) async fn events_in(
        &self,
        state: &StateMap,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<Option<Arc<KnownEvent>>>> {
        let keys = self.store.state_keys().find(pairs).await?;
        let rows: Vec<Option<EventRow>> = keys
            .into_iter()
            .map(|key| state.get(&key?).copied())
            .collect();
        let present: Vec<EventRow> = rows.iter().copied().flatten().collect();
        let mut found = self
            .events
            .get_many(&self.metas, &present)
            .await?
            .into_iter();
        Ok(rows
            .into_iter()
            .map(|row| row.and_then(|_| found.next()))
            .collect())
    }
}

impl RoomHandle {
    /// The whole state: the current one for members, that of their departure for those who left.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user may read nothing of the room.
    pub async fn state(&self, by: &Requester) -> Result<Vec<Raw<AnyStateEvent>>> {
        let access = self.access(by).await?;
        let rows: Vec<EventRow> = self
            .visible_state(access)
            .await?
            .values()
            .copied()
            .collect();
        self.render_state(by, access, &rows).await
    }

    /// One state event.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user may read nothing of the room. [`Error::NotFound`]: there is none of that type and
    /// key.
    pub async fn state_event(
        &self,
        by: &Requester,
        event_type: &str,
        state_key: &str,
    ) -> Result<Raw<AnyStateEvent>> {
        let not_found = || Error::NotFound(Subject::State);
        let access = self.access(by).await?;
        let state = self.visible_state(access).await?;
        let key = self.state_key(event_type, state_key).await?;
        let row = key
            .and_then(|key| state.get(&key).copied())
            .ok_or_else(not_found)?;
        let rendered = self.render_state(by, access, &[row]).await?;
        rendered.into_iter().next().ok_or_else(not_found)
    }

    /// State events for a reader, in the order of `rows`.
    pub(crate) async fn render_state<T>(
        &self,
        by: &Requester,
        access: Access,
        rows: &[EventRow],
    ) -> Result<Vec<Raw<T>>> {
        let mut view = View::new(self, by, access).await?;
        view.render_rows(rows).await
    }
}
