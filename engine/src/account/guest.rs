//! Guests: an account without a password, which may become one of its owner's: client-server API, "Guest Access".

use ruma::{OwnedUserId, UserId};
use storage::{Plain, Write, accounts, entity::account};

use super::{Accounts, DeviceWish, Registered, Secret};
use crate::{Error, Result};

/// How many names of guests there are. They are made up, and consist of digits only.
const NAMES: u64 = 1_000_000_000_000_000;
/// How often another name is made up, if one is taken.
const NAMES_TRIED: usize = 5;

impl Accounts {
    /// Makes a guest account with a session. What else the client says does not matter.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: this server has no guests, or nobody else yet.
    pub(super) async fn register_guest(&self, display_name: Option<String>) -> Result<Registered> {
        let forbidden = |why: &str| Err(Error::Forbidden(why.to_owned()));
        if !self.inner.settings.guests {
            return forbidden("This server has no guest accounts");
        }
        // The first account administers the server.
        if !accounts::any(self.inner.store.reader()).await? {
            return forbidden("This server has no accounts yet: guests come later");
        }
        for _ in 0..NAMES_TRIED {
            let number = u64::from_le_bytes(self.inner.chance.bytes()) % NAMES;
            let server = &self.inner.settings.server_name;
            let user_id = UserId::parse(format!("@{number}:{server}"));
            let user_id = user_id.map_err(|error| Error::Internal(error.to_string()))?;
            let wish = DeviceWish {
                display_name: display_name.clone(),
                ..DeviceWish::default()
            };
            let (rows, login) = self.grant(user_id.clone(), wish).await?;
            let mut plain = vec![Plain::Account(account::Model {
                guest: true,
                ..self.new_account(&user_id)
            })];
            plain.extend(rows);
            match self.inner.store.write(Write::plain(plain)).await {
                Err(storage::Error::Conflict(_)) => {}
                written => {
                    written?;
                    tracing::info!(%user_id, "a guest account was made");
                    return Ok(Registered {
                        user_id,
                        login: Some(login),
                    });
                }
            }
        }
        Err(Error::UserInUse)
    }

    /// The guest who has this access token, if that is their name.
    ///
    /// # Errors
    /// [`Error::MissingParam`]: there is no name. [`Error::Forbidden`]: it is another's, or no guest's.
    pub(super) async fn guest(
        &self,
        token: &Secret,
        username: Option<&str>,
    ) -> Result<OwnedUserId> {
        let username = username.ok_or_else(|| {
            Error::MissingParam("A guest keeps their name: say it as \"username\"".to_owned())
        })?;
        let refused = || Error::Forbidden("This is not the access token of that guest".to_owned());
        match self.authenticate(token.reveal()).await {
            Ok(by) if by.guest && by.user_id.localpart() == username => Ok(by.user_id),
            Ok(_) | Err(Error::UnknownToken { .. }) => Err(refused()),
            Err(error) => Err(error),
        }
    }

    /// Makes an account of a guest's, in one piece with `rows`.
    pub(super) async fn upgrade_guest(
        &self,
        user_id: &UserId,
        password: Secret,
        rows: Vec<Plain>,
    ) -> Result<()> {
        let inner = &self.inner;
        let hash = inner.passwords.hash(password, &inner.chance).await?;
        let mut plain = vec![accounts::guest_upgraded(user_id, hash)];
        plain.extend(rows);
        self.write(plain).await?;
        // Those that they have are no guest's any more.
        inner.tokens.forget(user_id, |_| true);
        tracing::info!(%user_id, "a guest has an account now");
        Ok(())
    }
}
