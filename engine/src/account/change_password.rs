//! `POST /account/password`: client-server API, "Password management".

use storage::{Plain, accounts};

use super::{Accounts, Secret, uia::Attempt};
use crate::{Requester, Result};

/// A request for a new password.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    /// The new password.
    pub new_password: Secret,
    /// Whether all other sessions end.
    pub logout_devices: bool,
    /// The stage of user-interactive authentication that comes with it.
    pub attempt: Option<Attempt>,
}

impl Accounts {
    /// Changes the password of `by`. The session that asks goes on.
    ///
    /// # Errors
    /// [`Error::WeakPassword`](crate::Error::WeakPassword), and those of [`confirm`](Self::confirm).
    pub async fn change_password(&self, by: &Requester, ask: ChangePassword) -> Result<()> {
        self.inner.passwords.accept(&ask.new_password)?;
        // What was confirmed is this password, and no other that the session might be used for.
        let target = ask.new_password.reveal();
        self.confirm(by, "changePassword", target, ask.attempt)
            .await?;

        let hash = self
            .inner
            .passwords
            .hash(ask.new_password, &self.inner.chance)
            .await?;
        let mut write = vec![accounts::password_set(&by.user_id, hash)];
        if ask.logout_devices {
            let except = by.device_id.as_ref().map(ToString::to_string);
            write.push(Plain::DevicesDelete {
                user_id: by.user_id.clone(),
                except,
            });
        }
        self.write(write).await?;
        if ask.logout_devices {
            self.inner.tokens.forget(&by.user_id, |known| {
                known.requester.device_id != by.device_id
            });
        }
        Ok(())
    }
}
