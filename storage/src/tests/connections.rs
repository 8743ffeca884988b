//! What happens when the database goes away for a moment.

use sea_orm::ConnectionTrait;

use super::fixture::Room;
use crate::{Error, Position, testing::Scratch};

/// Ends the writing connection of the store that is open on the current schema: it is the one that
/// holds the lock.
const END_WRITER: &str = "\
    SELECT pg_terminate_backend(pid) FROM pg_locks \
    WHERE locktype = 'advisory' \
    AND objid::bigint = hashtext(current_schema())::bigint & 4294967295";

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_no_write_fails() {
    let Some(scratch) = Scratch::postgres().await.unwrap() else {
        return;
    };
    let store = scratch.open().await.unwrap();
    let room = Room::new(&store).await;
    store.write(room.send(&store)).await.unwrap();

    store.reader().execute_unprepared(END_WRITER).await.unwrap();
    let committed = store.write(room.send(&store)).await.unwrap();
    assert_eq!(committed.position, Position(2));
    let refused = scratch.open().await.unwrap_err();
    assert!(
        matches!(refused, Error::Locked(_)),
        "the lock is held again: {refused:?}"
    );
}
