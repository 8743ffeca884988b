//! What users have reported.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, big_pk_auto, text, text_null},
};

use super::{index, table};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("reports")
                .col(big_pk_auto("id"))
                .col(big_integer("received_ts"))
                .col(text("reporter"))
                .col(text_null("room_id"))
                .col(text_null("event_id"))
                .col(text_null("user_id"))
                .col(text_null("reason"))
                .col(big_integer_null("score"))
                .col(text_null("event_json"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("reports", "reports_reporter", &["reporter"]))
        .await
}
