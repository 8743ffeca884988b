//! What a user was not told yet.

use ruma::UserId;
use storage::{
    Limit, Position,
    notifications::{self, EVERYBODY, Notification, Which},
};

use super::reading::Readings;
use crate::{Result, context::Context};

/// How many notifications are read at once.
const ROWS: u64 = 200;

/// Some of what a pusher was not told.
pub(super) struct Pending {
    /// What is to be told, oldest first.
    pub(super) rows: Vec<Notification>,
    /// Up to where these are all.
    pub(super) end: Position,
    /// Whether nothing comes after them yet.
    pub(super) last: bool,
}

impl Context {
    /// What notifies a user after a position and is not read. A few queries for a page.
    pub(super) async fn pending(&self, user: &UserId, after: Position) -> Result<Pending> {
        let followed = self.scores.last();
        self.written_down().await?;
        let db = self.store.reader();
        let (part, limit) = ((after, followed), Limit::new(ROWS));
        let mut rows = notifications::after(db, user, Which::Unread, part, limit).await?;
        let readings = Readings::of(&self.store, user).await?;
        let full = |whom: &str| {
            let rows = rows.iter().filter(|row| row.user_id == whom);
            let full = rows.clone().count() as u64 == ROWS;
            rows.map(|row| row.position).max().filter(|_| full)
        };
        let cut = [full(EVERYBODY), full(user.as_str())];
        let cut = cut.into_iter().flatten().min();
        let end = cut.unwrap_or(followed);
        let unreadable = self.metas.unreadable().await?;
        rows.retain(|row| {
            row.position <= end && !readings.has_read(row) && !unreadable.contains(&row.room)
        });
        rows.sort_by_key(|row| row.position);
        Ok(Pending {
            rows,
            end,
            last: cut.is_none(),
        })
    }
}
