//! What is known of other servers.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, integer, text},
};

use super::clustered;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "remote_keys", &["server", "key_id"])
                .col(text("server"))
                .col(text("key_id"))
                .col(text("key"))
                .col(big_integer("valid_until_ts"))
                .col(big_integer_null("expired_ts"))
                .col(big_integer("fetched_ts"))
                .take(),
        )
        .await?;
    let key = &["server", "valid_until_ts"];
    manager
        .create_table(
            clustered(manager, "remote_key_documents", key)
                .col(text("server"))
                .col(big_integer("valid_until_ts"))
                .col(text("document"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "destinations", &["server"])
                .col(text("server"))
                .col(big_integer("sent"))
                .col(big_integer_null("receipts_after"))
                .col(integer("failures"))
                .col(big_integer("retry_ts"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "staged_events", &["room", "event_id"])
                .col(big_integer("room"))
                .col(text("event_id"))
                .col(text("origin"))
                .col(big_integer("received_ts"))
                .col(text("json"))
                .take(),
        )
        .await
}
