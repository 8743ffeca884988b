//! SQLite: a file, in WAL mode, so that readers and the writer do not wait for each other.

use std::{str::FromStr, time::Duration};

use sea_orm::{
    Database,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait;

use super::{Connections, STATEMENTS_MAX, options};
use crate::{
    error::{Error, Result},
    lock::DataLock,
    migration::Migrator,
    store::{Durability, Settings},
};

/// Memory for pages of the writing connection, in KiB.
const WRITER_CACHE_KIB: u32 = 8_192;

/// Memory for pages of each reading connection, in KiB.
const READER_CACHE_KIB: u32 = 2_048;

/// How many rows of an answer may wait to be taken. Reading is done by a thread for each connection; with the usual fifty it
/// stops and goes on twenty times for an answer of a thousand rows, which on a busy machine takes longer than the reading.
const ROWS_BUFFERED: usize = 1_024;

/// After how many pages (of 4 KiB) the log is carried over into the database. Many, because hot
/// pages change in every commit and are carried over only once; few enough for a quick start.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Bytes to which the log shrinks when it has been carried over.
const LOG_BYTES_KEPT: u32 = 32 << 20;

pub(super) async fn open(settings: &Settings) -> Result<Connections> {
    let common = SqliteConnectOptions::from_str(&settings.url)
        .map_err(|error| Error::Settings(format!("the database URL is not usable: {error}")))?
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(false)
        .statement_cache_capacity(STATEMENTS_MAX)
        .row_buffer_size(ROWS_BUFFERED)
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0");
    let path = common.get_filename().to_owned();
    // SQLite's memory belongs to one connection; there are several here.
    if path.as_os_str().is_empty() || is_memory(&settings.url) {
        return Err(Error::Settings(
            "the database URL must name a file: sqlite:PATH".to_owned(),
        ));
    }
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        std::fs::create_dir_all(directory).map_err(|error| Error::file(directory, error))?;
    }
    let lock = DataLock::take(&path)?;

    let synchronous = match settings.durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::None => SqliteSynchronous::Off,
    };
    let for_writer = common
        .clone()
        .create_if_missing(true)
        .synchronous(synchronous)
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES_KEPT.to_string())
        .thread_name(|_| "sqlite-writer".to_owned());
    let mut writer = options(&settings.url, 1);
    writer.map_sqlx_sqlite_opts(move |_| for_writer.clone());
    let writer = Database::connect(writer).await?;
    Migrator::up(&writer, None).await?;

    // Only now is there a database to read.
    let for_readers = common
        .read_only(true)
        .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
        .thread_name(|n| format!("sqlite-reader-{n}"));
    let mut reader = options(&settings.url, settings.readers);
    reader.map_sqlx_sqlite_opts(move |_| for_readers.clone());
    let reader = Database::connect(reader).await?;
    Ok(Connections {
        writer,
        reader,
        lock: Some(lock),
    })
}

/// Whether the URL asks for a database in memory, in one of the ways that the driver knows.
fn is_memory(url: &str) -> bool {
    let (path, options) = url.split_once('?').unwrap_or((url, ""));
    path.ends_with(":memory:") || options.split('&').any(|option| option == "mode=memory")
}
