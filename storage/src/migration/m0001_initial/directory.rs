//! Whom a search for people may find, and which threads people follow.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, boolean, text, text_null},
};

use super::clustered;

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "directory_users", &["user_id"])
                .col(text("user_id"))
                .col(boolean("public"))
                .col(text_null("displayname"))
                .col(text_null("avatar_url"))
                .col(text("search"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(
                manager,
                "thread_subscriptions",
                &["user_id", "room", "thread_root"],
            )
            .col(text("user_id"))
            .col(big_integer("room"))
            .col(text("thread_root"))
            .col(boolean("subscribed"))
            .col(boolean("automatic"))
            .col(big_integer("position"))
            .take(),
        )
        .await
}
