//! What else has a position, and the counters.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, text},
};

use super::{clustered, index};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(
                manager,
                "receipts",
                &["room", "user_id", "kind", "thread_id"],
            )
            .col(big_integer("room"))
            .col(text("user_id"))
            .col(text("kind"))
            .col(text("thread_id"))
            .col(text("event_id"))
            .col(big_integer("ts"))
            .col(big_integer("position"))
            .take(),
        )
        .await?;
    manager
        .create_index(index(
            "receipts",
            "receipts_room_position",
            &["room", "position"],
        ))
        .await?;
    manager
        .create_index(index("receipts", "receipts_position", &["position"]))
        .await?;
    manager
        .create_index(index("receipts", "receipts_event", &["event_id"]))
        .await?;
    manager
        .create_table(
            clustered(manager, "account_data", &["user_id", "room", "type"])
                .col(text("user_id"))
                .col(big_integer("room"))
                .col(text("type"))
                .col(text("content"))
                .col(big_integer("position"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "account_data",
            "account_data_position",
            &["user_id", "position"],
        ))
        .await?;
    manager
        .create_table(
            clustered(manager, "counters", &["name"])
                .col(text("name"))
                .col(big_integer("value"))
                .take(),
        )
        .await
}
