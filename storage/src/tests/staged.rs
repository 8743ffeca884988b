//! Events that wait.

use super::fixture::{Room, on_each};
use crate::{
    Plain, Write,
    staged::{self, StagedEvent},
};

#[tokio::test]
async fn staged_events_wait_once_until_they_wait_no_more() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let waiting = |id: &str, received_ts| StagedEvent {
            room: room.row,
            event_id: id.to_owned(),
            origin: "there".to_owned(),
            received_ts,
            json: "{}".to_owned(),
        };
        let first = Plain::Staged(vec![waiting("$b", 1), waiting("$a", 2)]);
        store.write(Write::plain(vec![first])).await.unwrap();
        let again = Plain::Staged(vec![waiting("$a", 0), waiting("$c", 3)]);
        store.write(Write::plain(vec![again])).await.unwrap();
        let ids = async || {
            let waiting = staged::of_room(store.reader(), room.row).await.unwrap();
            let ids = waiting.into_iter().map(|staged| staged.event_id);
            ids.collect::<Vec<_>>()
        };
        assert_eq!(ids().await, ["$b", "$a", "$c"]);
        assert_eq!(staged::all(store.reader()).await.unwrap().len(), 3);
        let done = Plain::Unstaged {
            room: room.row,
            event_ids: ["$b", "$a"].map(|id| id.try_into().unwrap()).to_vec(),
        };
        store.write(Write::plain(vec![done])).await.unwrap();
        assert_eq!(ids().await, ["$c"]);
    })
    .await;
}
