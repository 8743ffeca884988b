//! Whom a search for people may find, and which threads people follow.

use sea_orm::{ConnectionTrait as _, DbBackend};
use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, big_pk_auto, boolean, text, text_null, text_uniq},
};

use super::{clustered, index, table};

/// FTS5 beside the table, kept up by it: every three characters in a row.
const SQLITE: &str = "
CREATE VIRTUAL TABLE directory_index USING fts5(
    text, content = '', contentless_delete = 1, tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER directory_users_insert AFTER INSERT ON directory_users BEGIN
    INSERT INTO directory_index(rowid, text) VALUES (new.id, new.search);
END;
CREATE TRIGGER directory_users_delete AFTER DELETE ON directory_users BEGIN
    DELETE FROM directory_index WHERE rowid = old.id;
END;
CREATE TRIGGER directory_users_update AFTER UPDATE OF search ON directory_users BEGIN
    DELETE FROM directory_index WHERE rowid = old.id;
    INSERT INTO directory_index(rowid, text) VALUES (new.id, new.search);
END;";

/// An index by the extension pg_trgm, where that is there; see the search of texts.
const POSTGRES: &str = "
DO $$
DECLARE place text;
BEGIN
    SELECT n.nspname INTO place FROM pg_extension e
        JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
    IF place IS NOT NULL THEN
        EXECUTE format(
            'CREATE INDEX directory_users_search ON directory_users USING gin (search %I.gin_trgm_ops)', place
        );
    END IF;
END $$;";

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            table("directory_users")
                // The number by which the index knows the row. Nobody else does.
                .col(big_pk_auto("id"))
                .col(text_uniq("user_id"))
                .col(boolean("public"))
                .col(text_null("displayname"))
                .col(text_null("avatar_url"))
                .col(text("search"))
                .take(),
        )
        .await?;
    let own = match manager.get_database_backend() {
        DbBackend::Sqlite => SQLITE,
        _ => POSTGRES,
    };
    manager.get_connection().execute_unprepared(own).await?;
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
        .await?;
    manager
        .create_index(index(
            "thread_subscriptions",
            "thread_subscriptions_position",
            &["user_id", "position"],
        ))
        .await
}
