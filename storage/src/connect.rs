//! Connections: one that writes, some that read.

use std::time::Duration;

use sea_orm::{ConnectOptions, DatabaseConnection};

use crate::{
    error::{Error, Result},
    lock::DataLock,
    store::Settings,
};

mod postgres;
mod sqlite;

/// How long a read may wait for a free connection before it fails.
const ACQUIRE_MAX: Duration = Duration::from_secs(10);

/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 256;

pub(crate) struct Connections {
    pub(crate) writer: DatabaseConnection,
    pub(crate) reader: DatabaseConnection,
    /// Of a database in a file; PostgreSQL's lock belongs to the writing connection.
    pub(crate) lock: Option<DataLock>,
}

/// Connects, migrates, and sees to it that no other process uses the data.
pub(crate) async fn open(settings: &Settings) -> Result<Connections> {
    match settings.url.split_once(':') {
        Some(("sqlite", _)) => sqlite::open(settings).await,
        Some(("postgres" | "postgresql", _)) => postgres::open(settings).await,
        _ => Err(Error::Settings(
            "the database URL must begin with sqlite: or postgres:".to_owned(),
        )),
    }
}

/// What both databases have in common. Connections live as long as they work.
fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(connections)
        .acquire_timeout(ACQUIRE_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}
