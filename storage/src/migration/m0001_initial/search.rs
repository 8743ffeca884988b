//! Texts that are searched, and the index of their parts.
//!
//! The only tables for which the two databases need words of their own. Both keep every three characters in a row, so that
//! parts of words are found, and languages without spaces.

use sea_orm::{ConnectionTrait as _, DbBackend};
use sea_orm_migration::{
    DbErr, SchemaManager,
    schema::{big_integer, small_integer, text},
};

use super::{clustered, index};

/// FTS5 beside the table, kept up by it. Beside the text stands a mark of its room, three characters that nobody types, so that
/// the index can go from match to match of a room (`search::room_mark`).
const SQLITE: &str = "
CREATE VIRTUAL TABLE search_index USING fts5(
    text, room, content = '', contentless_delete = 1, tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER searchable_insert AFTER INSERT ON searchable BEGIN
    INSERT INTO search_index(rowid, text, room) VALUES (new.moment, new.text, char(
        57344 + (new.room & 2047), 57344 + ((new.room >> 11) & 2047), 57344 + ((new.room >> 22) & 2047)
    ));
END;
CREATE TRIGGER searchable_delete AFTER DELETE ON searchable BEGIN
    DELETE FROM search_index WHERE rowid = old.moment;
END;";

/// An index by the extension pg_trgm, wherever that lives. Where it is not there and may not be installed, searching works
/// without an index.
const POSTGRES: &str = "
DO $$
DECLARE place text;
BEGIN
    BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    SELECT n.nspname INTO place FROM pg_extension e
        JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
    IF place IS NOT NULL THEN
        EXECUTE format(
            'CREATE INDEX searchable_text ON searchable USING gin (text %I.gin_trgm_ops)', place
        );
    END IF;
END $$;";

pub(super) async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            clustered(manager, "searchable", &["moment"])
                .col(big_integer("moment"))
                .col(big_integer("event"))
                .col(big_integer("source"))
                .col(big_integer("room"))
                .col(small_integer("key"))
                .col(text("sender"))
                .col(text("text"))
                .take(),
        )
        .await?;
    manager
        .create_index(index("searchable", "searchable_event", &["event"]))
        .await?;
    manager
        .create_index(index("searchable", "searchable_room", &["room", "moment"]))
        .await?;
    let own = match manager.get_database_backend() {
        DbBackend::Sqlite => SQLITE,
        _ => POSTGRES,
    };
    manager.get_connection().execute_unprepared(own).await?;
    Ok(())
}
