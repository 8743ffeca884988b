//! What notifies whom, and how far they have read.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, text},
};

use super::{clustered, index};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "notifications", &["room", "user_id", "position"])
                .col(big_integer("room"))
                .col(text("user_id"))
                .col(big_integer("position"))
                .col(big_integer("event"))
                .col(text("thread"))
                .col(big_integer("notify"))
                .col(big_integer("highlight"))
                .col(text("actions"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "notifications",
            "notifications_user_position",
            &["user_id", "position"],
        ))
        .await?;
    manager
        .create_table(
            clustered(manager, "readings", &["user_id", "room", "thread"])
                .col(text("user_id"))
                .col(big_integer("room"))
                .col(text("thread"))
                .col(big_integer("position"))
                .col(big_integer("since"))
                .take(),
        )
        .await
}
