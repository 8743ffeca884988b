//! Who is there over a restart: what was stored when the server ran last, and storing it.
//!
//! Clients go on from their tokens, and would otherwise think for ever of those as there who never came back.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use ruma::{OwnedUserId, UserId};
use storage::{Plain, Write, presences};

use super::{Presence, PresenceState, Shown, person::Update};
use crate::Result;

/// How often it is stored who is there, in milliseconds; what has changed since is lost if the server dies.
const STORE_EVERY_MS: i64 = 60 * 1_000;

/// How many rows are written at once.
const ROWS_TOGETHER: usize = 500;

impl Presence {
    /// Takes in who was there when the server ran last, the first time. They are there for as long as if they had just
    /// gone; if there is no presence any more, they are gone.
    pub(crate) async fn restore(&self) {
        let restored = self.restored.get_or_try_init(|| self.read_stored()).await;
        if let Err(error) = restored {
            tracing::warn!(%error, "it is not known who was there before");
        }
    }

    async fn read_stored(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let mut forgotten = BTreeSet::new();
        for stored in presences::all(self.store.reader()).await? {
            let Ok(user) = UserId::parse(&stored.user_id) else {
                continue;
            };
            if self.settings.enabled {
                let was = Shown {
                    state: PresenceState::parse(&stored.state).unwrap_or_default(),
                    status_msg: stored.status_msg,
                    last_active_ms: stored.last_active_ts,
                    currently_active: false,
                    names: None,
                };
                let remote = user.server_name() != self.own;
                let number = || self.ephemeral.next();
                self.table().change(&user, now_ms, number, |person| {
                    person.restore(was, remote, now_ms);
                    Update::Quiet
                });
            } else {
                let mut table = self.table();
                let number = self.ephemeral.next();
                table.gone(&user, number);
                forgotten.insert(user);
            }
        }
        self.write(forgotten).await
    }

    /// Stores what has changed if it is time; returns when it is the next time.
    pub(super) async fn store_in_time(&self, now_ms: i64) -> Option<i64> {
        if !self.table().has_unstored() {
            return None;
        }
        let due_ms = self.stored_ms.load(Ordering::Acquire) + STORE_EVERY_MS;
        if now_ms < due_ms {
            return Some(due_ms);
        }
        self.store_all().await;
        None
    }

    /// Stores what has changed.
    pub(crate) async fn store_all(&self) {
        let now_ms = self.clock.now_ms();
        self.stored_ms.store(now_ms, Ordering::Release);
        let users = self.table().take_unstored();
        if let Err(error) = self.write(users.clone()).await {
            tracing::warn!(%error, "it is not stored who is there");
            self.table().put_back_unstored(users);
        }
    }

    async fn write(&self, users: BTreeSet<OwnedUserId>) -> Result<()> {
        let rows: Vec<Plain> = users.into_iter().map(|user| self.row(user)).collect();
        for rows in rows.chunks(ROWS_TOGETHER) {
            self.store.write(Write::plain(rows.to_vec())).await?;
        }
        Ok(())
    }

    fn row(&self, user: OwnedUserId) -> Plain {
        match self.shown(&user) {
            Some(shown) if shown.state != PresenceState::Offline || shown.status_msg.is_some() => {
                Plain::Presence(presences::Presence {
                    user_id: user.to_string(),
                    state: shown.state.as_str().to_owned(),
                    status_msg: shown.status_msg,
                    last_active_ts: shown.last_active_ms,
                })
            }
            _ => Plain::PresenceDelete { user_id: user },
        }
    }
}
