//! Inviting users of other servers: server-server API, "Inviting to a room".

use ruma::{OwnedEventId, UserId};
use spec::{event::Draft, json::Object};
use storage::{EventRow, write::Outcome};

use super::refused;
use crate::{Error, Result, Subject, peers::PeerError, rooms::RoomHandle, sync::PREVIEW};

impl RoomHandle {
    /// Sends an invite to the invited user's server to sign, and takes it in once that has.
    ///
    /// # Errors
    /// [`Error::Denied`]: the rules refuse it. [`Error::Forbidden`]: the room is not for the other server, or that server
    /// does not want the invite. [`Error::Elsewhere`]. [`Error::Unreachable`]: it gives no usable answer.
    pub(crate) async fn invite_through(
        &self,
        target: &UserId,
        draft: Draft,
    ) -> Result<OwnedEventId> {
        let (room, target) = (self.clone(), target.to_owned());
        // To its end, whether or not the client waits: the invited user hears of it by their server.
        let work = self.spawn(async move { room.invite_elsewhere(&target, draft).await });
        work.await
            .map_err(|_| Error::Internal("an invite stopped".to_owned()))?
    }

    async fn invite_elsewhere(&self, target: &UserId, draft: Draft) -> Result<OwnedEventId> {
        let server = target.server_name();
        self.check_acl(server).await?;
        let inviter = draft.sender.clone();
        let invite = self
            .run(move |room| {
                Box::pin(async move {
                    room.check_federates()?;
                    room.propose(draft).await
                })
            })
            .await?;
        let invite = self.recommended(invite).await?;
        let room_state = self.preview_events(Some(&inviter)).await?;
        let version = self.meta.version.id();
        let peers = self.peers()?;
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
            .map_err(|error| match error {
                PeerError::Refused { status: 404, .. } => Error::NotFound(Subject::User),
                error => refused(error),
            })?;
        let signed = self
            .checked(vec![signed])
            .await
            .into_iter()
            .find(|event| event.id() == invite.id());
        let signed = signed.ok_or_else(|| {
            Error::Unreachable(format!(
                "{server} answered with something else than the invite"
            ))
        })?;
        let id = signed.id().to_owned();
        let own = self.context.server_name.clone();
        if inviter.server_name() != own {
            // An exchanged third-party invite, which this server makes on behalf of another.
            let relayed = id.clone();
            self.run(move |room| {
                Box::pin(async move {
                    room.relay(relayed);
                    Ok(())
                })
            })
            .await?;
        }
        match self.take(&own, signed).await? {
            Outcome::Accepted => Ok(id),
            _ => Err(Error::Forbidden(
                "The rules of the room refuse it by now".to_owned(),
            )),
        }
    }

    /// The events by which somebody outside may know the room, whole; with the member event of who invites them.
    pub(crate) async fn preview_events(&self, inviter: Option<&UserId>) -> Result<Vec<Object>> {
        let state = self.current_state().await?;
        let types = PREVIEW.iter().map(|event_type| (*event_type, ""));
        let inviter = inviter.map(|user| ("m.room.member", user.as_str()));
        let pairs: Vec<(&str, &str)> = types.chain(inviter).collect();
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
