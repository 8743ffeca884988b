//! Knocking at a room through another server: server-server API, "Knocking".

use ruma::{OwnedServerName, RoomId, ServerName};
use spec::{json::Object, object};

use super::{aside::stripped_state, candidates::Candidates, fill, refused};
use crate::{Error, Requester, Result, peers::Peers, room::profile::member_fields, rooms::Rooms};

/// The key of a knock's `unsigned` with the server that took it in. Clients do not see it.
pub(super) const TAKEN_IN_BY: &str = "taken_in_by";

impl Rooms {
    /// Knocks at a room, by itself or through one of the servers `via`; `extra` goes into the content of the member event.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nobody knows the room. [`Error::Denied`], [`Error::Forbidden`]: the rules of the room.
    /// [`Error::IncompatibleRoomVersion`]. [`Error::Unreachable`].
    pub(crate) async fn knock(
        &self,
        by: &Requester,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        extra: Object,
    ) -> Result<()> {
        self.context.check_listed_room(room).await?;
        if let Some(known) = self.find(room).await?
            && known.is_resident().await?
        {
            return known.knock(by, extra).await;
        }
        let (rooms, by, room) = (self.clone(), by.clone(), room.to_owned());
        // To its end, whether or not the client waits: the other server does not take it back either.
        let work = self.spawn(async move {
            let _turn = rooms.context.handshakes.turn(&room).await;
            rooms.knock_through(&by, &room, via, extra).await
        });
        work.await
            .map_err(|_| Error::Internal("a knock stopped".to_owned()))?
    }

    async fn knock_through(
        &self,
        by: &Requester,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        extra: Object,
    ) -> Result<()> {
        let mut content = member_fields(&self.context, &by.user_id).await?;
        content.extend(extra);
        let peers = self.peers()?;
        let mut candidates = Candidates::new(&self.context.server_name, room, via, peers);
        while let Some(server) = candidates.next() {
            let knocked = self.knock_at(peers, by, room, &server, &content).await;
            match knocked {
                Ok(()) => return Ok(()),
                Err(error) => candidates.failed(room, &server, error)?,
            }
        }
        Err(candidates.refusal())
    }

    async fn knock_at(
        &self,
        peers: &dyn Peers,
        by: &Requester,
        room: &RoomId,
        server: &ServerName,
        content: &Object,
    ) -> Result<()> {
        let user = &by.user_id;
        let template = peers
            .make_membership(server, "knock", room, user)
            .await
            .map_err(refused)?;
        let (version, knock) = fill(&self.context, user, room, "knock", template, content)?;
        let handle = self.known_or_new(room, version, user.clone()).await?;
        let handle = self.in_version(handle, version).await?;
        let handle = handle.ok_or_else(|| {
            Error::Unreachable(format!("{server} drafted for another version of the room"))
        })?;
        let state = peers
            .send_knock(server, room, knock.id(), knock.object())
            .await
            .map_err(refused)?;
        let unsigned = object! {
            "knock_room_state" => stripped_state(&state),
            TAKEN_IN_BY => server.as_str(),
        };
        handle.keep_aside(knock.with_unsigned(Some(unsigned))).await
    }
}
