//! The one error type of the store.

use std::sync::Arc;

use sea_orm::{DbErr, SqlErr};

/// The result of everything that the store does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store did not do what was asked.
///
/// Cheap to clone: one failed commit answers many writers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A row with this key exists already, or the condition of an update did not hold.
    #[error("the database already holds a conflicting row")]
    Conflict(#[source] Option<Arc<DbErr>>),
    /// An earlier write of the same chain failed, so this one was not tried.
    #[error("an earlier write of the same chain failed")]
    ChainBroken,
    /// The writer has stopped: the process is going down.
    #[error("the store is closed")]
    Closed,
    /// Another process uses the same data.
    #[error("another process is using {0}; stop it, or give this server data of its own")]
    Locked(String),
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// What the database holds contradicts itself.
    #[error("the stored data is damaged: {0}")]
    Corrupt(String),
    /// A file could not be opened or created.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Arc<DbErr>),
}

impl Error {
    pub(crate) fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            source: Arc::new(source),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Conflict(Some(Arc::new(error))),
            _ => Self::Database(Arc::new(error)),
        }
    }
}
