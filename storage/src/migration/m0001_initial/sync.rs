//! What the server remembers of those who sync.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, text},
};

use super::clustered;

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
            .col(text("state"))
            .col(big_integer("written_ts"))
            .take(),
        )
        .await
}
