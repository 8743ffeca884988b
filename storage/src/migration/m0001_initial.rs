//! The first tables.
//!
//! There are no foreign keys: all rows come from one writer, which writes what belongs together in
//! one transaction, and the checks would cost every event several look-ups.

use sea_orm::{
    DbBackend,
    sea_query::{Index, IndexCreateStatement, Table, TableCreateStatement},
};
use sea_orm_migration::{
    DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait,
};

mod accounts;
mod delayed;
mod directory;
mod events;
mod federation;
mod log;
mod moderation;
mod purges;
mod push;
mod relations;
mod rooms;
mod search;
mod sync;

/// See the module.
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_initial"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        rooms::up(manager).await?;
        events::up(manager).await?;
        relations::up(manager).await?;
        search::up(manager).await?;
        log::up(manager).await?;
        push::up(manager).await?;
        accounts::up(manager).await?;
        directory::up(manager).await?;
        delayed::up(manager).await?;
        moderation::up(manager).await?;
        purges::up(manager).await?;
        federation::up(manager).await?;
        sync::up(manager).await
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).take()
}

/// A table whose rows live in the tree of their primary key, which on SQLite must be asked for.
fn clustered(
    manager: &SchemaManager,
    name: &'static str,
    key: &[&'static str],
) -> TableCreateStatement {
    let mut primary = Index::create();
    for column in key {
        primary.col(*column);
    }
    let mut table = table(name);
    table.primary_key(&mut primary);
    if manager.get_database_backend() == DbBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    table
}

fn index(
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).take();
    for column in columns {
        index.col(*column);
    }
    index
}
