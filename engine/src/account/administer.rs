//! What an administrator does to accounts, from the command line or by the admin API.

use ruma::{OwnedUserId, UserId};
use storage::{Plain, accounts};

use super::{Accounts, Secret, localpart, register::Admin};
use crate::{Error, Result, Subject};

/// An account that an administrator makes.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The name before the colon. Upper case is lowered.
    pub localpart: String,
    /// The password; `None`: nobody can log in with one.
    pub password: Option<Secret>,
    /// Whether it may administer the server.
    pub admin: bool,
}

impl Accounts {
    /// Makes an account, whether or not registration is open.
    ///
    /// # Errors
    /// [`Error::UserInUse`], [`Error::InvalidUsername`], [`Error::WeakPassword`].
    pub async fn create(&self, new: NewAccount) -> Result<OwnedUserId> {
        let user_id =
            localpart::for_registration(&new.localpart, &self.inner.settings.server_name)?;
        if let Some(password) = &new.password {
            self.inner.passwords.accept(password)?;
        }
        if self.account(&user_id).await?.is_some() {
            return Err(Error::UserInUse);
        }
        let admin = if new.admin { Admin::Yes } else { Admin::No };
        self.create_account(&user_id, new.password, admin, Vec::new())
            .await?;
        Ok(user_id)
    }

    /// The user id that `name`, a localpart or a user id in any case, means here.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no account has it, or it was deactivated.
    pub async fn find(&self, name: &str) -> Result<OwnedUserId> {
        let user_id = localpart::for_login(name, &self.inner.settings.server_name);
        let user_id = user_id.ok_or(Error::NotFound(Subject::User))?;
        self.active(&user_id).await?;
        Ok(user_id)
    }

    /// Gives an account a new password, and ends all its sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such account, or deactivated. [`Error::WeakPassword`].
    pub async fn set_password(&self, user_id: &UserId, password: Secret) -> Result<()> {
        self.inner.passwords.accept(&password)?;
        self.active(user_id).await?;
        let hash = self
            .inner
            .passwords
            .hash(password, &self.inner.chance)
            .await?;
        let devices = Plain::DevicesDelete {
            user_id: user_id.to_owned(),
            except: None,
        };
        self.write(vec![accounts::password_set(user_id, hash), devices])
            .await?;
        self.inner.tokens.forget(user_id, |_| true);
        Ok(())
    }

    /// Makes an account a server administrator, or no longer one.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such account, or deactivated.
    pub async fn set_admin(&self, user_id: &UserId, admin: bool) -> Result<()> {
        self.active(user_id).await?;
        self.write(vec![accounts::admin_set(user_id, admin)])
            .await?;
        self.inner.tokens.forget(user_id, |_| true);
        Ok(())
    }

    /// Locks an account, so that it can do nothing but log out, or unlocks it. Its sessions are kept.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such account, or deactivated.
    pub async fn set_locked(&self, user_id: &UserId, locked: bool) -> Result<()> {
        self.active(user_id).await?;
        self.write(vec![accounts::locked_set(user_id, locked)])
            .await?;
        self.inner.tokens.forget(user_id, |_| true);
        Ok(())
    }

    async fn active(&self, user_id: &UserId) -> Result<()> {
        match self.account(user_id).await? {
            Some(account) if !account.deactivated => Ok(()),
            _ => Err(Error::NotFound(Subject::User)),
        }
    }
}
