//! What one room shows to somebody who thinks of joining it: client-server API, "Room summary".

use ruma::{OwnedRoomId, OwnedServerName, RoomId, RoomOrAliasId, ServerName, room::RoomSummary};
use storage::members::{self, Membership};

use super::viewer::Viewer;
use crate::{Engine, Error, Requester, Result, Subject, rooms::Rooms};

/// A room as somebody sees it from outside.
#[derive(Debug)]
pub struct SeenRoom {
    /// What it shows.
    pub summary: RoomSummary,
    /// What the asker is to it, if they ever were anything.
    pub membership: Option<Membership>,
}

impl Engine {
    /// What a room shows. One that this server is not in is asked for at the servers `via`, for users of this server only.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such room, nobody tells it, or the asker may not see it.
    pub async fn room_summary(
        &self,
        by: Option<&Requester>,
        room: &RoomOrAliasId,
        via: Vec<OwnedServerName>,
    ) -> Result<SeenRoom> {
        self.rooms().seen(by, room, via).await
    }
}

impl Rooms {
    async fn seen(
        &self,
        by: Option<&Requester>,
        room: &RoomOrAliasId,
        mut via: Vec<OwnedServerName>,
    ) -> Result<SeenRoom> {
        let viewer = by.map_or(Viewer::Nobody, |by| Viewer::User(by.user_id.clone()));
        let (room, servers) = self.named(room, &viewer).await?;
        via.extend(servers);
        let mut locals = self.locals(std::slice::from_ref(&room), &viewer).await?;
        let summary = match locals.remove(&room) {
            Some(local) => local.visible.then_some(local.summary),
            None => self.seen_elsewhere(&room, &via, &viewer).await?,
        };
        let membership = match by {
            Some(by) => self.membership_in(&room, by).await?,
            None => None,
        };
        Ok(SeenRoom {
            summary: summary.ok_or(Error::NotFound(Subject::Room))?,
            membership,
        })
    }

    /// The room of this name, and servers that may know it. Aliases of other servers are only looked up for users.
    async fn named(
        &self,
        room: &RoomOrAliasId,
        viewer: &Viewer,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
        match <&RoomId>::try_from(room) {
            Ok(room) => {
                let server = room.server_name().map(ServerName::to_owned);
                Ok((room.to_owned(), server.into_iter().collect()))
            }
            Err(alias) => {
                let ours = alias.server_name() == self.context.server_name;
                if !ours && *viewer == Viewer::Nobody {
                    return Err(Error::NotFound(Subject::Room));
                }
                self.find_alias(alias).await
            }
        }
    }

    async fn seen_elsewhere(
        &self,
        room: &RoomId,
        via: &[OwnedServerName],
        viewer: &Viewer,
    ) -> Result<Option<RoomSummary>> {
        if *viewer == Viewer::Nobody {
            return Ok(None);
        }
        let Some(branch) = self.branch(room, via).await else {
            return Ok(None);
        };
        let summary = branch.room.summary.clone();
        let visible = self.may_see_remote(&summary, viewer).await?;
        Ok(visible.then_some(summary))
    }

    async fn membership_in(&self, room: &RoomId, by: &Requester) -> Result<Option<Membership>> {
        let room = match self.context.metas.by_id(room).await {
            Ok(meta) => meta.row,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let member = members::one(self.context.store.reader(), room, &by.user_id).await?;
        Ok(member.map(|member| member.membership))
    }
}
