//! `POST /account/deactivate`: client-server API, "Account deactivation".

use storage::{Plain, accounts, entity::unspread_profile, profiles};

use super::{Accounts, uia::Attempt};
use crate::{Engine, Requester, Result};

/// What becomes of what a user wrote whose account is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase {
    /// All of it stays as it is.
    Nothing,
    /// It is hidden from those who were not in the room at the time.
    Content,
}

impl Engine {
    /// Closes the account of `by` for good, and leaves its rooms, invites and knocks in the background.
    ///
    /// # Errors
    /// Those of [`Accounts::confirm`].
    pub async fn deactivate(
        &self,
        by: &Requester,
        attempt: Option<Attempt>,
        erase: Erase,
    ) -> Result<()> {
        self.accounts().deactivate(by, attempt, erase).await?;
        // Before they leave: who shares a room with them hears of it.
        self.context.presence.close(&by.user_id);
        if erase == Erase::Content {
            self.context.erased.add(by.user_id.clone()).await?;
        }
        let (engine, user_id) = (self.clone(), by.user_id.clone());
        tokio::spawn(async move { engine.tell_rooms(&user_id).await });
        Ok(())
    }
}

impl Accounts {
    /// Closes the account of `by` for good: no password, no sessions, no profile; the name stays taken.
    ///
    /// Its rooms are left by the caller, who knows them, or later by [`Engine::run_unspread`].
    ///
    /// # Errors
    /// Those of [`confirm`](Self::confirm).
    pub(crate) async fn deactivate(
        &self,
        by: &Requester,
        attempt: Option<Attempt>,
        erase: Erase,
    ) -> Result<()> {
        self.confirm(by, "deactivateAccount", "", attempt).await?;
        let user_id = &by.user_id;
        let mut write = vec![
            accounts::deactivated(user_id),
            Plain::DevicesDelete {
                user_id: user_id.clone(),
                except: None,
            },
            Plain::EmailAddressesDelete {
                user_id: user_id.clone(),
            },
            Plain::PresenceDelete {
                user_id: user_id.clone(),
            },
        ];
        write.push(Plain::UnspreadProfile(unspread_profile::Model {
            user_id: user_id.to_string(),
            change: self.new_change(),
        }));
        if erase == Erase::Content {
            write.push(accounts::erased(user_id));
        }
        for field in profiles::all(self.inner.store.reader(), user_id)
            .await?
            .into_keys()
        {
            write.push(Plain::ProfileFieldDelete {
                user_id: user_id.clone(),
                field,
            });
        }
        self.write(write).await?;
        self.inner.tokens.forget(user_id, |_| true);
        tracing::info!(%user_id, "an account was deactivated");
        Ok(())
    }
}
