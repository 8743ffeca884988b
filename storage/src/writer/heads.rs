//! Where rooms stand: the one row of a room that changes with every event.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::rows::chunks;
use crate::{error::Result, packed::pack_events, write::RoomHead};

/// Updates the rooms, which must be different ones: a statement for as many as there are.
///
/// sea-query has no `UPDATE … FROM`, so this is written by hand; both databases understand it.
pub(super) async fn update(
    db: &impl ConnectionTrait,
    heads: impl Iterator<Item = &RoomHead>,
) -> Result<()> {
    let backend = db.get_database_backend();
    let rows = heads.map(|head| {
        vec![
            head.room.into(),
            pack_events(&head.extremities).into(),
            head.snapshot.into(),
        ]
    });
    for rows in chunks(backend, rows.collect()) {
        let text = text(backend, rows.len());
        let values: Vec<Value> = rows.into_iter().flatten().collect();
        db.execute_raw(Statement::from_sql_and_values(backend, text, values))
            .await?;
    }
    Ok(())
}

fn text(backend: DbBackend, rows: usize) -> String {
    let blob = if backend == DbBackend::Sqlite {
        "blob"
    } else {
        "bytea"
    };
    let mut text =
        "UPDATE rooms SET extremities = v.column2, snapshot = v.column3 FROM (VALUES ".to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let (id, extremities, snapshot) = (row * 3 + 1, row * 3 + 2, row * 3 + 3);
        write!(
            text,
            "{comma}(CAST(${id} AS bigint), CAST(${extremities} AS {blob}), CAST(${snapshot} AS bigint))"
        )
        .expect("a string takes everything");
    }
    text.push_str(") AS v WHERE rooms.id = v.column1");
    text
}
