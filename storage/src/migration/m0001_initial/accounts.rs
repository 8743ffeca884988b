//! Accounts, devices, tokens, profiles, filters, and the server's own keys.

use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_integer_null, binary, binary_uniq, boolean, text, text_null},
};

use super::{clustered, index, table};

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    accounts(manager).await?;
    tokens(manager).await?;
    manager
        .create_table(
            clustered(manager, "profiles", &["user_id", "field"])
                .col(text("user_id"))
                .col(text("field"))
                .col(text("value"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "unspread_profiles", &["user_id"])
                .col(text("user_id"))
                .col(text("change"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "filters", &["user_id", "id"])
                .col(text("user_id"))
                .col(text("id"))
                .col(text("json"))
                .take(),
        )
        .await?;
    email(manager).await?;
    manager
        .create_table(
            clustered(manager, "secrets", &["name"])
                .col(text("name"))
                .col(binary("bytes"))
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "server_keys", &["key_id"])
                .col(text("key_id"))
                .col(text("server_name"))
                .col(binary("seed"))
                .col(big_integer("created_ts"))
                .col(big_integer_null("expired_ts"))
                .take(),
        )
        .await
}

async fn email(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "email_addresses", &["address"])
                .col(text("address"))
                .col(text("user_id"))
                .col(big_integer("added_ts"))
                .take(),
        )
        .await?;
    let of_user = index(
        "email_addresses",
        "email_addresses_user",
        &["user_id", "address"],
    );
    manager.create_index(of_user).await
}

async fn accounts(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "accounts", &["user_id"])
                .col(text("user_id"))
                .col(text("localpart"))
                .col(text_null("password_hash"))
                .col(boolean("admin"))
                .col(boolean("guest"))
                .col(boolean("deactivated"))
                .col(boolean("erased"))
                .col(boolean("locked"))
                .col(boolean("suspended"))
                .col(big_integer("created_ts"))
                .col(text_null("appservice"))
                .take(),
        )
        .await?;
    manager
        .create_index(
            index("accounts", "accounts_localpart", &["localpart"])
                .unique()
                .take(),
        )
        .await?;
    manager
        .create_table(
            clustered(manager, "devices", &["user_id", "device_id"])
                .col(text("user_id"))
                .col(text("device_id"))
                .col(text_null("display_name"))
                .col(big_integer("created_ts"))
                .col(big_integer_null("last_seen_ts"))
                .col(text_null("last_seen_ip"))
                .col(text_null("last_seen_user_agent"))
                .take(),
        )
        .await
}

async fn tokens(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "access_tokens", &["hash"])
                .col(binary("hash"))
                .col(text("user_id"))
                .col(text("device_id"))
                .col(big_integer_null("expires_ts"))
                .col(big_integer_null("refresh"))
                .col(boolean("used"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "access_tokens",
            "access_tokens_device",
            &["user_id", "device_id"],
        ))
        .await?;
    manager
        .create_index(index(
            "access_tokens",
            "access_tokens_refresh",
            &["refresh"],
        ))
        .await?;
    manager
        .create_table(
            table("refresh_tokens")
                .col(big_integer("id").primary_key())
                .col(binary_uniq("hash"))
                .col(text("user_id"))
                .col(text("device_id"))
                .col(big_integer_null("next"))
                .col(big_integer_null("expires_ts"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "refresh_tokens",
            "refresh_tokens_device",
            &["user_id", "device_id"],
        ))
        .await?;
    manager
        .create_index(index("refresh_tokens", "refresh_tokens_next", &["next"]))
        .await?;
    manager
        .create_table(
            clustered(manager, "openid_tokens", &["hash"])
                .col(binary("hash"))
                .col(text("user_id"))
                .col(big_integer("expires_ts"))
                .take(),
        )
        .await?;
    manager
        .create_index(index(
            "openid_tokens",
            "openid_tokens_expires",
            &["expires_ts"],
        ))
        .await?;
    manager
        .create_table(
            clustered(manager, "registration_tokens", &["token"])
                .col(text("token"))
                .col(big_integer_null("uses_allowed"))
                .col(big_integer("pending"))
                .col(big_integer("completed"))
                .col(big_integer_null("expires_ts"))
                .take(),
        )
        .await
}
