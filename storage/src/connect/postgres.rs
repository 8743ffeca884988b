//! PostgreSQL: the writing connection holds a lock on the schema for as long as it lives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection,
    sqlx::{self, Executor, Row},
};
use sea_orm_migration::MigratorTrait;

use super::{Connections, STATEMENTS_MAX, options};
use crate::{
    error::{Error, Result},
    migration::Migrator,
    search,
    store::{Durability, Settings},
};

/// How long the writing connection may take, the wait for the lock included: a server that was
/// killed a moment ago still has it.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

/// Two halves of a key: ours ("Rook"), and the schema.
const LOCK: &str =
    "SELECT pg_try_advisory_lock(1383034731, hashtext(coalesce(current_schema(), '')))";

pub(super) async fn open(settings: &Settings) -> Result<Connections> {
    let writer = open_writer(settings).await?;
    Migrator::up(&writer, None).await?;
    if !search::is_indexed(&writer).await? {
        tracing::warn!(
            "searching reads all messages of a room, because the extension pg_trgm could not be created; \
            a superuser can: CREATE EXTENSION pg_trgm; CREATE INDEX searchable_text ON searchable USING gin (text gin_trgm_ops);"
        );
    }
    let mut reader = pool(settings, settings.readers);
    reader.test_before_acquire_if_idle_for(Duration::from_secs(30));
    let reader = Database::connect(reader).await?;
    Ok(Connections {
        writer,
        reader,
        lock: None,
    })
}

async fn open_writer(settings: &Settings) -> Result<DatabaseConnection> {
    let refused = Arc::new(AtomicBool::new(false));
    let mut options = pool(settings, 1);
    options.acquire_timeout(LOCK_WAIT_MAX);
    let refused_here = Arc::clone(&refused);
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let refused = Arc::clone(&refused_here);
        pool.after_connect(move |connection, _| {
            let refused = Arc::clone(&refused);
            Box::pin(async move {
                let row = connection.fetch_one(LOCK).await?;
                let locked: bool = row.try_get(0)?;
                refused.store(!locked, Ordering::Relaxed);
                // The pool tries again until its time is up.
                if locked {
                    Ok(())
                } else {
                    Err(sqlx::Error::PoolTimedOut)
                }
            })
        })
    });
    Database::connect(options).await.map_err(|error| {
        if refused.load(Ordering::Relaxed) {
            Error::Locked("this PostgreSQL database".to_owned())
        } else {
            error.into()
        }
    })
}

fn pool(settings: &Settings, connections: u32) -> ConnectOptions {
    let mut options = options(&settings.url, connections);
    options.set_application_name("rookery");
    let synchronous = match settings.durability {
        Durability::Full => "on",
        Durability::None => "off",
    };
    let mut session = vec![("synchronous_commit", synchronous.to_owned())];
    // Not by sea-orm's own setting: that one is undone by the pool's `after_connect`.
    session.extend(
        settings
            .schema
            .clone()
            .map(|schema| ("search_path", schema)),
    );
    options.map_sqlx_postgres_opts(move |options| {
        options
            .statement_cache_capacity(STATEMENTS_MAX)
            .options(session.iter().cloned())
    });
    options
}
