//! What a user was not told yet.

use std::collections::BTreeMap;

use ruma::UserId;
use storage::{
    Limit, Position, Write,
    notifications::{self, EVERYBODY, Notification},
};

use super::reading::Readings;
use crate::{Result, context::Context};

/// How many notifications are read at once.
const ROWS: u64 = 200;

/// Some of what a pusher was not told, oldest first.
pub(super) struct Pending {
    /// By position; `None` is not to be told.
    pub(super) rows: Vec<(Position, Option<Notification>)>,
    /// Up to where these are all.
    pub(super) end: Position,
    /// Whether nothing comes after them yet.
    pub(super) last: bool,
}

impl Context {
    /// What notifies a user after a position and is not read. A few queries for a page.
    pub(super) async fn pending(&self, user: &UserId, after: Position) -> Result<Pending> {
        let followed = self.scores.last();
        // What is followed may still be on its way to the store: come behind it.
        self.store.write(Write::default()).await?;
        let db = self.store.reader();
        let limit = Limit::new(ROWS);
        let found = notifications::after(db, user, after, followed, limit).await?;
        let readings = Readings::of(&self.store, user).await?;
        let full = |whom: &str| {
            let rows = found.iter().filter(|row| row.user_id == whom);
            let full = rows.clone().count() as u64 == ROWS;
            rows.map(|row| row.position).max().filter(|_| full)
        };
        let cut = [full(EVERYBODY), full(user.as_str())];
        let cut = cut.into_iter().flatten().min();
        let end = cut.unwrap_or(followed);
        let mut rows: BTreeMap<Position, Option<Notification>> = BTreeMap::new();
        for row in found.into_iter().filter(|row| row.position <= end) {
            let own = row.user_id != EVERYBODY;
            let here = own || readings.is_in(row.room, row.position);
            let told = here && !row.actions.is_empty() && !readings.has_read(&row);
            let position = row.position;
            let told = told.then_some(row);
            if own {
                rows.insert(position, told);
            } else {
                rows.entry(position).or_insert(told);
            }
        }
        Ok(Pending {
            rows: rows.into_iter().collect(),
            end,
            last: cut.is_none(),
        })
    }
}
