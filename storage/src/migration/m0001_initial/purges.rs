//! Rooms that nobody here wants to see any more, and messages that say themselves when they are to go.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, boolean, text},
};

use super::{index, table};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("purges")
                .col(big_integer("room").primary_key())
                .col(text("room_id"))
                .col(big_integer("forgotten_ts"))
                .col(boolean("going"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("purges", "purges_room_id", &["room_id"]))
        .await?;
    manager
        .create_table(
            table("self_destructs")
                .col(big_integer("event").primary_key())
                .col(big_integer("room"))
                .col(big_integer("due_ts"))
                .take(),
        )
        .await?;
    let columns = &["due_ts", "event"];
    manager
        .create_index(index("self_destructs", "self_destructs_due", columns))
        .await
}
