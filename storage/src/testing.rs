//! Stores for tests: empty, and gone when the test is.
//!
//! On SQLite always, each in a directory of its own; on PostgreSQL where `TEST_POSTGRES_URL` names
//! a database, each in a schema of its own.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;

use crate::{
    error::{Error, Result},
    store::{Durability, Settings, Store},
};

/// Names the database in which tests may create schemas.
pub const POSTGRES_URL: &str = "TEST_POSTGRES_URL";

/// Data for a test, which may be opened more than once (one after the other).
#[derive(Clone, Debug)]
pub struct Scratch {
    /// How to open it.
    pub settings: Settings,
    directory: Option<Arc<TempDir>>,
}

impl Scratch {
    /// Empty data in a SQLite file.
    ///
    /// # Errors
    /// [`Error::File`]: there is no place for it.
    pub fn sqlite() -> Result<Self> {
        let directory =
            TempDir::new().map_err(|error| Error::file(&std::env::temp_dir(), error))?;
        let path = directory.path().join("test.db");
        let settings = Settings {
            durability: Durability::None,
            readers: 2,
            ..Settings::new(format!("sqlite:{}", path.display()))
        };
        Ok(Self {
            settings,
            directory: Some(Arc::new(directory)),
        })
    }

    /// Empty data in a schema of the PostgreSQL database for tests; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Database`]: the database is named, but does not answer.
    pub async fn postgres() -> Result<Option<Self>> {
        let Ok(url) = std::env::var(POSTGRES_URL) else {
            return Ok(None);
        };
        let schema = format!("test_{:016x}", RandomState::new().build_hasher().finish());
        let db = Database::connect(&url).await?;
        db.execute_unprepared(&format!("CREATE SCHEMA {schema}"))
            .await?;
        db.close().await?;
        let settings = Settings {
            durability: Durability::None,
            readers: 2,
            schema: Some(schema),
            ..Settings::new(url)
        };
        Ok(Some(Self {
            settings,
            directory: None,
        }))
    }

    /// Empty data on each database.
    ///
    /// # Errors
    /// As [`Scratch::sqlite`] and [`Scratch::postgres`].
    pub async fn each() -> Result<Vec<Self>> {
        let mut all = vec![Self::sqlite()?];
        all.extend(Self::postgres().await?);
        Ok(all)
    }

    /// Opens the data; the store keeps it until the last clone is gone.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(&self) -> Result<Store> {
        Store::open_keeping(
            self.settings.clone(),
            self.directory.clone().map(|it| it as _),
        )
        .await
    }
}

/// Empty stores: one on each database.
///
/// # Errors
/// As [`Scratch::each`] and [`Store::open`].
pub async fn open_each() -> Result<Vec<Store>> {
    let mut stores = Vec::new();
    for scratch in Scratch::each().await? {
        stores.push(scratch.open().await?);
    }
    Ok(stores)
}

impl Store {
    /// An empty store on SQLite, which goes away with its last clone.
    ///
    /// It is in a file, as the real ones are: SQLite's memory has one connection only, on which
    /// readers would wait for the writer. Nothing is ever flushed, so it is as fast.
    ///
    /// # Errors
    /// As [`Scratch::sqlite`] and [`Store::open`].
    pub async fn in_memory() -> Result<Self> {
        Scratch::sqlite()?.open().await
    }
}
