//! The rooms that two users share: client-server API, "Mutual rooms".

use ruma::{OwnedRoomId, RoomId, UserId};
use storage::members;

use crate::{Engine, Error, Requester, Result};

/// How many rooms a page has.
const PAGE_ROOMS: usize = 100;

/// A page of shared rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualRooms {
    /// The rooms, by ID.
    pub joined: Vec<OwnedRoomId>,
    /// How many there are on all pages.
    pub count: u64,
    /// Where the next page begins, if there is one. It is good for ever: the page begins behind the room that it names.
    pub next_batch: Option<String>,
}

impl Engine {
    /// A page of the rooms that `by` and another user of any server are both joined to. None for a user whom nobody knows.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: the user is `by`, or `from` is not a token of an earlier page.
    pub async fn mutual_rooms(
        &self,
        by: &Requester,
        with: &UserId,
        from: Option<&str>,
    ) -> Result<MutualRooms> {
        if by.user_id == with {
            return Err(Error::InvalidParam(
                "You share all of your rooms with yourself".to_owned(),
            ));
        }
        let after = from
            .map(|token| {
                let invalid = || Error::InvalidParam("`from` is no token of this list".to_owned());
                RoomId::parse(token).map_err(|_| invalid())
            })
            .transpose()?;
        let context = &self.rooms().context;
        let rows = members::shared_rooms(context.store.reader(), &by.user_id, with).await?;
        let metas = context.metas.by_rows(&rows).await?;
        let rooms = metas.iter().map(|meta| meta.id.clone()).collect();
        Ok(page(rooms, after))
    }
}

/// The page of `rooms` behind `after`.
fn page(mut rooms: Vec<OwnedRoomId>, after: Option<OwnedRoomId>) -> MutualRooms {
    let count = rooms.len() as u64;
    rooms.sort_unstable();
    if let Some(after) = after {
        rooms.retain(|room| *room > after);
    }
    let more = rooms.len() > PAGE_ROOMS;
    rooms.truncate(PAGE_ROOMS);
    let last = rooms.last().filter(|_| more);
    MutualRooms {
        count,
        next_batch: last.map(ToString::to_string),
        joined: rooms,
    }
}

#[cfg(test)]
mod tests {
    use ruma::{OwnedRoomId, RoomId};

    use super::page;

    #[test]
    fn pages_follow_each_other_and_know_the_whole() {
        let rooms = |range: std::ops::Range<u32>| -> Vec<OwnedRoomId> {
            let id = |n| RoomId::parse(format!("!{n:03}:here")).expect("an id");
            range.map(id).collect()
        };
        let mut all = rooms(0..150);
        all.reverse();
        let first = page(all.clone(), None);
        assert_eq!((first.joined, first.count), (rooms(0..100), 150));
        let token = first.next_batch.expect("there is more");
        let second = page(all, Some(RoomId::parse(token).expect("an id")));
        assert_eq!((second.joined, second.count), (rooms(100..150), 150));
        assert_eq!(second.next_batch, None);
        assert_eq!(page(rooms(0..100), None).next_batch, None);
    }
}
