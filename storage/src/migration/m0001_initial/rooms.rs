//! Rooms, their states, members and aliases.

use sea_orm::sea_query::{ConditionalStatement, Expr, ExprTrait};
use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, binary, boolean, integer, text, text_null, text_uniq},
};

use super::{clustered, index, table};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("rooms")
                .col(big_integer("id").primary_key())
                .col(text_uniq("room_id"))
                .col(text("version"))
                .col(text("creator"))
                .col(big_integer_null("snapshot"))
                .col(binary("extremities"))
                .take(),
        )
        .await?;
    summaries(manager).await?;
    manager
        .create_table(
            table("state_keys")
                .col(big_integer("id").primary_key())
                .col(text("type"))
                .col(text("state_key"))
                .take(),
        )
        .await?;
    manager
        .create_index(
            index("state_keys", "state_keys_pair", &["type", "state_key"])
                .unique()
                .take(),
        )
        .await?;
    manager
        .create_table(
            table("snapshots")
                .col(big_integer("id").primary_key())
                .col(big_integer("room"))
                .col(big_integer_null("parent"))
                .col(integer("chain"))
                .col(binary("entries"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("snapshots", "snapshots_room", &["room"]))
        .await?;
    manager
        .create_table(
            clustered(manager, "memberships", &["room", "user_id"])
                .col(big_integer("room"))
                .col(text("user_id"))
                .col(text("server"))
                .col(text("membership"))
                .col(big_integer("event"))
                .col(text("sender"))
                .col(big_integer("position"))
                .col(boolean("forgotten"))
                .col(text_null("displayname"))
                .col(text_null("avatar_url"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "memberships",
            "memberships_user",
            &["user_id", "membership"],
        ))
        .await?;
    manager
        .create_index(index(
            "memberships",
            "memberships_user_position",
            &["user_id", "position"],
        ))
        .await?;
    manager
        .create_index(index(
            "memberships",
            "memberships_server",
            &["server", "membership", "room"],
        ))
        .await?;
    manager
        .create_table(
            clustered(manager, "aliases", &["alias"])
                .col(text("alias"))
                .col(big_integer("room"))
                .col(text("creator"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("aliases", "aliases_room", &["room"]))
        .await
}

async fn summaries(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("summaries")
                .col(big_integer("room").primary_key())
                .col(boolean("published"))
                .col(boolean("listed_before"))
                .col(big_integer("joined"))
                .col(text_null("name"))
                .col(text_null("topic"))
                .col(text_null("avatar_url"))
                .col(text_null("canonical_alias"))
                .col(text("join_rule"))
                .col(text_null("allowed_rooms"))
                .col(text_null("room_type"))
                .col(text_null("encryption"))
                .col(boolean("world_readable"))
                .col(boolean("guest_can_join"))
                .col(boolean("federated"))
                .col(big_integer_null("min_lifetime"))
                .col(big_integer_null("max_lifetime"))
                .col(text("search"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "summaries",
            "summaries_listed",
            &["published", "joined", "room"],
        ))
        .await?;
    let says = Expr::col("max_lifetime").is_not_null();
    manager
        .create_index(
            index("summaries", "summaries_lifetime", &["room"])
                .and_where(says)
                .take(),
        )
        .await
}
