//! Whom a search for people may find.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{boolean, text, text_null},
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
        .await
}
