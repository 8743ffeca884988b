//! Which event relates to which.

use sea_orm::sea_query::{ConditionalStatement, Expr, ExprTrait};
use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, text, text_null},
};

use super::{clustered, index};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "relations", &["child"])
                .col(big_integer("child"))
                .col(text("event_id"))
                .col(big_integer("room"))
                .col(text("parent"))
                .col(text("rel_type"))
                .col(text("type"))
                .col(text("sender"))
                .col(text_null("annotation"))
                .col(big_integer_null("edit_ts"))
                .col(big_integer_null("snapshot"))
                .col(big_integer("anchor"))
                .col(big_integer("rank"))
                .col(big_integer("position"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "relations",
            "relations_parent",
            &["parent", "rel_type", "anchor", "rank", "position"],
        ))
        .await?;
    let is_annotation = Expr::col("annotation").is_not_null();
    manager
        .create_index(
            index(
                "relations",
                "relations_annotation",
                &["parent", "sender", "annotation"],
            )
            .and_where(is_annotation)
            .take(),
        )
        .await?;
    let in_thread = Expr::col("rel_type").eq("m.thread");
    manager
        .create_index(
            index(
                "relations",
                "relations_threads",
                &["room", "anchor", "rank", "position"],
            )
            .and_where(in_thread)
            .take(),
        )
        .await
}
