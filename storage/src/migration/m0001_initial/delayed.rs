//! Events that are sent later.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, text, text_null},
};

use super::{clustered, index};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "delayed_events", &["delay_id"])
                .col(text("delay_id"))
                .col(text("user_id"))
                .col(text_null("device_id"))
                .col(big_integer("room"))
                .col(text("type"))
                .col(text_null("state_key"))
                .col(text("content"))
                .col(big_integer("delay_ms"))
                .col(big_integer("running_since_ts"))
                .col(big_integer_null("send_ts"))
                .col(big_integer("seen"))
                .col(text_null("txn"))
                .col(big_integer_null("finished_ts"))
                .col(text_null("outcome"))
                .col(text_null("reason"))
                .col(text_null("event_id"))
                .col(text_null("error"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("delayed_events", "delayed_events_due", &["send_ts"]))
        .await?;
    manager
        .create_index(index("delayed_events", "delayed_events_user", &["user_id"]))
        .await
}
