//! The events.

use sea_orm::sea_query::{ConditionalStatement, Expr, ExprTrait};
use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{
        big_integer, big_integer_null, boolean_null, small_integer, text, text_null, text_uniq,
    },
};

use super::{index, table};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("events")
                .col(big_integer("id").primary_key())
                .col(text_uniq("event_id"))
                .col(big_integer("room"))
                .col(big_integer_null("position"))
                .col(big_integer_null("anchor"))
                .col(big_integer_null("rank"))
                .col(boolean_null("gap"))
                .col(boolean_null("resettled"))
                .col(text("sender"))
                .col(text("type"))
                .col(big_integer_null("state_key"))
                .col(big_integer_null("outgoing"))
                .col(big_integer("depth"))
                .col(big_integer("origin_server_ts"))
                .col(small_integer("outcome"))
                .col(big_integer_null("snapshot"))
                .col(big_integer_null("current"))
                .col(big_integer_null("replaces"))
                .col(big_integer_null("redacted_by"))
                .col(text("json"))
                .col(text_null("txn_device"))
                .col(text_null("txn_scope"))
                .col(text_null("txn_id"))
                .take(),
        )
        .await?;
    manager
        .create_index(
            index("events", "events_room_position", &["room", "position"])
                .and_where(Expr::col("position").is_not_null())
                .take(),
        )
        .await?;
    manager
        .create_index(
            index("events", "events_position", &["position"])
                .and_where(Expr::col("position").is_not_null())
                .take(),
        )
        .await?;
    manager
        .create_index(
            index(
                "events",
                "events_history",
                &["room", "anchor", "rank", "position"],
            )
            .and_where(Expr::col("anchor").is_not_null())
            .take(),
        )
        .await?;
    manager
        .create_index(
            index("events", "events_gap", &["room"])
                .and_where(Expr::col("gap").is_not_null())
                .take(),
        )
        .await?;
    manager
        .create_index(
            index("events", "events_ts", &["room", "origin_server_ts", "id"])
                .and_where(Expr::col("position").is_not_null())
                .take(),
        )
        .await?;
    manager
        .create_index(
            index(
                "events",
                "events_messages",
                &["room", "origin_server_ts", "id"],
            )
            .and_where(Expr::col("state_key").is_null())
            .take(),
        )
        .await?;
    manager
        .create_index(
            index("events", "events_outgoing", &["outgoing", "room"])
                .and_where(Expr::col("outgoing").is_not_null())
                .take(),
        )
        .await?;
    manager
        .create_index(
            index("events", "events_state", &["room", "state_key", "position"])
                .and_where(Expr::col("state_key").is_not_null())
                .take(),
        )
        .await?;
    manager
        .create_index(
            index(
                "events",
                "events_txn",
                &["sender", "txn_device", "txn_scope", "txn_id"],
            )
            .unique()
            .and_where(Expr::col("txn_id").is_not_null())
            .take(),
        )
        .await?;
    pending_redactions(manager).await
}

async fn pending_redactions(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("pending_redactions")
                .col(big_integer("redaction").primary_key())
                .col(big_integer("room"))
                .col(text_null("target"))
                .take(),
        )
        .await?;
    for (name, column) in [
        ("pending_redactions_room", "room"),
        ("pending_redactions_target", "target"),
    ] {
        let waiting = Expr::col("target").is_not_null();
        let index = index("pending_redactions", name, &[column])
            .and_where(waiting)
            .take();
        manager.create_index(index).await?;
    }
    Ok(())
}
