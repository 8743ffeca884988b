//! What notifies whom, how far they have read, and where they want to be told.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, text, text_null},
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
                .col(big_integer("noted_ts"))
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
        .await?;
    manager
        .create_table(
            clustered(manager, "pushers", &["user_id", "app_id", "pushkey"])
                .col(text("user_id"))
                .col(text("app_id"))
                .col(text("pushkey"))
                .col(text("kind"))
                .col(text("device_id"))
                .col(text("app_display_name"))
                .col(text("device_display_name"))
                .col(text_null("profile_tag"))
                .col(text("lang"))
                .col(text("data"))
                .col(big_integer("created_ts"))
                .col(big_integer("done"))
                .col(big_integer("badge"))
                .col(big_integer("failures"))
                .col(big_integer("failing_ts"))
                .col(big_integer("retry_ts"))
                .col(text_null("mailed"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("pushers", "pushers_key", &["app_id", "pushkey"]))
        .await
}
