//! Inserts of many rows at once, and updates of single ones.

use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, ActiveValue, ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic,
    Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter, Value,
    sea_query::{Alias, Expr, ExprTrait, IntoCondition, OnConflict, Query, ValueTuple},
};

use crate::error::{Error, Result};

/// How many rows one statement may take, smallest first. Few sizes, so that the texts of the
/// statements repeat and stay prepared.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// What to do with a row whose key exists already.
#[derive(Clone, Copy)]
pub(super) enum Existing<C: 'static> {
    /// The write fails.
    Conflicts,
    /// Nothing; these columns are the key.
    Stays(&'static [C]),
    /// It is replaced; these columns are the key.
    IsReplaced(&'static [C]),
    /// `to` becomes that of the new row, if it is greater.
    Advances {
        /// The key.
        key: &'static [C],
        /// What only grows.
        to: C,
    },
}

/// The values of `model`, in the order of the columns.
pub(super) fn values<M: ModelTrait>(model: &M) -> Vec<Value> {
    <M::Entity as EntityTrait>::Column::iter()
        .map(|column| model.get(column))
        .collect()
}

/// Inserts `rows`, each as from [`values`]. With [`Existing::IsReplaced`] and [`Existing::Advances`] no two may
/// have the same key. The first column must be part of the key.
pub(super) async fn insert<E: EntityTrait>(
    db: &impl ConnectionTrait,
    existing: Existing<E::Column>,
    rows: Vec<Vec<Value>>,
) -> Result<()> {
    for rows in chunks(db.get_database_backend(), rows) {
        let mut statement = Query::insert();
        statement
            .into_table(E::default())
            .columns(E::Column::iter());
        if let Some(conflict) = on_conflict::<E>(existing) {
            statement.on_conflict(conflict);
        }
        match <[Vec<Value>; 1]>::try_from(rows) {
            Ok([row]) => {
                statement.values_panic(row.into_iter().map(Expr::val));
            }
            Err(rows) if db.get_database_backend() == DbBackend::Sqlite => {
                let rows = rows.into_iter().map(ValueTuple::Many);
                let mut full = Query::select();
                // As SQLite calls the columns of VALUES.
                let names = (1..).map(|number| format!("column{number}"));
                full.columns(names.take(E::Column::iter().count()));
                full.from_values(rows, "v");
                full.and_where(Expr::col("column1").is_not_null());
                statement
                    .select_from(full)
                    .map_err(|error| Error::Database(Arc::new(DbErr::Custom(error.to_string()))))?;
            }
            Err(rows) => {
                for row in rows {
                    statement.values_panic(row.into_iter().map(Expr::val));
                }
            }
        }
        db.execute(&statement).await?;
    }
    Ok(())
}

/// `rows` in parts of one of [`SIZES`].
///
/// On SQLite the last part is filled up with rows of nulls, which [`insert`] leaves out: binding
/// them costs less than another turn of the connection's thread. PostgreSQL could not tell their
/// types, so there the parts become smaller towards the end.
pub(super) fn chunks(backend: DbBackend, mut rows: Vec<Vec<Value>>) -> Vec<Vec<Vec<Value>>> {
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let fits = |size: &&usize| match backend {
            DbBackend::Sqlite => **size >= rows.len(),
            _ => **size <= rows.len(),
        };
        let size = match backend {
            DbBackend::Sqlite => SIZES.iter().find(fits),
            _ => SIZES.iter().rfind(fits),
        };
        let size = *size.unwrap_or(&SIZES[SIZES.len() - 1]);
        let rest = rows.split_off(size.min(rows.len()));
        let width = rows[0].len();
        rows.resize_with(size, || vec![Value::BigInt(None); width]);
        chunks.push(std::mem::replace(&mut rows, rest));
    }
    chunks
}

fn on_conflict<E: EntityTrait>(existing: Existing<E::Column>) -> Option<OnConflict> {
    match existing {
        Existing::Conflicts => None,
        Existing::Stays(key) => Some(
            OnConflict::columns(key.iter().copied())
                .do_nothing()
                .to_owned(),
        ),
        Existing::IsReplaced(key) => {
            let is_key = |column: &E::Column| key.iter().any(|k| k.as_str() == column.as_str());
            let others = E::Column::iter().filter(|column| !is_key(column));
            Some(
                OnConflict::columns(key.iter().copied())
                    .update_columns(others)
                    .to_owned(),
            )
        }
        Existing::Advances { key, to } => {
            let new = Expr::col((Alias::new("excluded"), to));
            Some(
                OnConflict::columns(key.iter().copied())
                    .update_column(to)
                    .action_and_where(new.gt(Expr::col((E::default(), to))))
                    .to_owned(),
            )
        }
    }
}

/// Sets the columns of one row that are `Set` in `change`; its key must be `Set` or `Unchanged`.
///
/// Returns how many rows there were: one or none.
pub(super) async fn update<A: ActiveModelTrait>(
    db: &impl ConnectionTrait,
    change: A,
) -> Result<u64> {
    type Column<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;
    type Key<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::PrimaryKey;
    let mut statement = Query::update();
    statement.table(A::Entity::default());
    let mut changes = 0;
    for column in Column::<A>::iter() {
        let is_key = Key::<A>::from_column(column).is_some();
        match change.get(column) {
            ActiveValue::Set(value) | ActiveValue::Unchanged(value) if is_key => {
                statement.and_where(Expr::col(column).eq(value));
            }
            ActiveValue::Set(value) => {
                statement.value(column, value);
                changes += 1;
            }
            ActiveValue::NotSet if is_key => {
                return Err(Error::Corrupt(
                    "a change does not say of which row".to_owned(),
                ));
            }
            ActiveValue::Unchanged(_) | ActiveValue::NotSet => {}
        }
    }
    if changes == 0 {
        return Ok(0);
    }
    Ok(db.execute(&statement).await?.rows_affected())
}

/// Deletes rows of `E` for which `condition` holds.
pub(super) async fn delete<E: EntityTrait>(
    db: &impl ConnectionTrait,
    condition: impl IntoCondition,
) -> Result<()> {
    E::delete_many().filter(condition).exec(db).await?;
    Ok(())
}
