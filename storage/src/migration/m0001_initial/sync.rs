//! What the server remembers of those who sync.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, text, text_null},
};

use super::{clustered, index};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(
                manager,
                "sliding_connections",
                &["user_id", "device_id", "conn_id"],
            )
            .col(text("user_id"))
            .col(text("device_id"))
            .col(text("conn_id"))
            .col(big_integer("number"))
            .col(big_integer("used"))
            .col(big_integer_null("issued"))
            .col(text("configs"))
            .col(big_integer("written_ts"))
            .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "sliding_rooms", &["number", "room", "generation"])
                .col(big_integer("number"))
                .col(big_integer("room"))
                .col(big_integer("generation"))
                .col(text_null("state"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "presences", &["user_id"])
                .col(text("user_id"))
                .col(text("state"))
                .col(text_null("status_msg"))
                .col(big_integer_null("last_active_ts"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "sliding_connections",
            "sliding_connections_written",
            &["written_ts"],
        ))
        .await
}
