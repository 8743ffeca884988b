//! Rooms that nobody here wants to see any more.

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
        .await
}
