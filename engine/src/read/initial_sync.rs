//! All of one room at once, for clients of before `/sync`, and for those who look into a room that anybody may read:
//! client-server API, "Room previews" and `GET /rooms/{roomId}/initialSync`.

use ruma::{
    api::client::filter::RoomEventFilter,
    events::{AnyStateEvent, AnyTimelineEvent},
    serde::Raw,
};
use storage::{
    account_data::{self, StoredAccountData},
    members,
};

use super::{Direction, MessagesAsk};
use crate::{Requester, Result, account_data::is_deleted, rooms::RoomHandle};

/// A room as it is, with its last messages.
#[derive(Clone, Debug)]
pub struct RoomSnapshot {
    /// What the user is in it; `None` for one who looks in.
    pub membership: Option<&'static str>,
    /// The last events that the user may see, oldest first.
    pub messages: Vec<Raw<AnyTimelineEvent>>,
    /// Where older ones are; `None` if there are none.
    pub start: Option<String>,
    /// Where newer ones will be.
    pub end: String,
    /// The state: of now, or of when the user left.
    pub state: Vec<Raw<AnyStateEvent>>,
    /// Whether the directory lists the room.
    pub published: bool,
    /// What the user keeps with the room.
    pub account_data: Vec<StoredAccountData>,
}

impl RoomHandle {
    /// The room with at most `limit` messages.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`]: the user may read nothing of the room.
    pub async fn initial_sync(&self, by: &Requester, limit: u16) -> Result<RoomSnapshot> {
        let ask = MessagesAsk {
            from: None,
            to: None,
            direction: Direction::Backward,
            limit,
            filter: RoomEventFilter::default(),
            relations: Default::default(),
        };
        let mut page = self.messages(by, ask).await?;
        page.chunk.reverse();
        let db = self.context.store.reader();
        let member = members::one(db, self.meta.row, &by.user_id).await?;
        let mut account_data = account_data::of_room(db, &by.user_id, Some(self.meta.row)).await?;
        account_data.retain(|data| !is_deleted(&data.content));
        Ok(RoomSnapshot {
            membership: member.map(|member| member.membership.as_str()),
            messages: page.chunk,
            start: page.end,
            end: page.start,
            state: self.state(by).await?,
            published: self.is_published().await?,
            account_data,
        })
    }
}
