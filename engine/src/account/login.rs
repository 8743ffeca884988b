//! `POST /login`: client-server API, "Legacy login".

use super::{Accounts, DeviceWish, Login, Secret, localpart};
use crate::{Error, Result};

/// A request to log in.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who, and how that is proven.
    pub credentials: Credentials,
    /// What session is wanted.
    pub device: DeviceWish,
}

/// How somebody proves who they are.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `m.login.password`
    Password {
        /// A localpart or a user id; `None`: an identifier that this server has none of, such as an email address.
        user: Option<String>,
        /// The password.
        password: Secret,
    },
    /// A type that this server does not offer.
    Unknown(String),
}

impl Accounts {
    /// Logs in.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: unknown user or wrong password; one looks like the other, and takes as long.
    /// [`Error::UserDeactivated`], [`Error::UserLocked`]: as they say. [`Error::Refused`]: an unknown login type.
    /// [`Error::InvalidParam`]: an impossible device id. [`Error::LimitExceeded`]: too many at once.
    pub async fn log_in(&self, ask: Ask) -> Result<Login> {
        let (user, password) = match ask.credentials {
            Credentials::Password { user, password } => (user, password),
            Credentials::Unknown(login_type) => {
                let sentence = format!("This server does not offer the login type {login_type}");
                return Err(Error::Refused(sentence));
            }
        };
        ask.device.check()?;
        let server = &self.inner.settings.server_name;
        let user_id = user.and_then(|user| localpart::for_login(&user, server));
        let account = match &user_id {
            Some(user_id) => self.account(user_id).await?,
            None => None,
        };
        let hash = account
            .as_ref()
            .and_then(|account| account.password_hash.clone());
        let matches = self.inner.passwords.matches(password, hash).await?;
        let wrong = || Error::Forbidden("The user name or the password is wrong".to_owned());
        let (Some(user_id), Some(account)) = (user_id, account) else {
            return Err(wrong());
        };
        if account.deactivated {
            return Err(Error::UserDeactivated);
        }
        if !matches {
            return Err(wrong());
        }
        if account.locked {
            return Err(Error::UserLocked);
        }
        let (rows, login) = self.grant(user_id, ask.device).await?;
        self.write(rows).await?;
        self.granted(&login);
        Ok(login)
    }
}
