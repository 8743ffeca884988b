//! Inviting users of other servers: server-server API, "Inviting to a room".

use ruma::{OwnedEventId, ServerName};
use spec::{event::Draft, json::Object};
use storage::EventRow;

use super::refused;
use crate::{Error, Result, rooms::RoomHandle, sync::PREVIEW};

impl RoomHandle {
    /// Sends an invite to the invited user's server to sign, and takes it in once that has.
    ///
    /// # Errors
    /// [`Error::Denied`]: the rules refuse it. What the other server answered.
    pub(crate) async fn invite_through(
        &self,
        server: &ServerName,
        draft: Draft,
    ) -> Result<OwnedEventId> {
        let peers = self.context.peers.get().cloned();
        let peers = peers
            .ok_or_else(|| Error::Refused("This server does not talk to others".to_owned()))?;
        let invite = self
            .run(move |room| Box::pin(async move { room.propose(draft).await }))
            .await?;
        let room_state = self.preview_events().await?;
        let version = self.meta.version.id();
        let signed = peers
            .invite(
                server,
                version,
                &self.meta.id,
                invite.id(),
                invite.object(),
                room_state,
            )
            .await
            .map_err(refused)?;
        let signed = self
            .checked(vec![signed])
            .await
            .into_iter()
            .find(|event| event.id() == invite.id());
        let signed = signed.ok_or_else(|| {
            Error::Refused(format!(
                "{server} answered with something else than the invite"
            ))
        })?;
        let id = signed.id().to_owned();
        let own = self.context.server_name.clone();
        match self.take(&own, signed).await? {
            storage::write::Outcome::Accepted => Ok(id),
            _ => Err(Error::Forbidden(
                "The rules of the room refuse it by now".to_owned(),
            )),
        }
    }

    /// The events by which somebody outside may know the room, whole.
    async fn preview_events(&self) -> Result<Vec<Object>> {
        let state = self.current_state().await?;
        let pairs: Vec<(&str, &str)> = PREVIEW.iter().map(|event_type| (*event_type, "")).collect();
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let rows: Vec<EventRow> = keys
            .into_iter()
            .flatten()
            .filter_map(|key| state.get(&key).copied())
            .collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        Ok(known
            .iter()
            .map(|known| known.event.with_unsigned(None).object().clone())
            .collect())
    }
}
