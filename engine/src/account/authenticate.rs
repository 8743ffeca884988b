//! Who sends a request: client-server API, "Using access tokens".

use std::sync::Arc;

use ruma::{OwnedDeviceId, UserId};
use storage::{entity::access_token, tokens};

use super::{
    Accounts,
    token::{self, Hash, Known},
};
use crate::{Error, Requester, Result};

impl Accounts {
    /// Whose request it is that carries the access token `token`. No query if the token was used lately.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]: never given out, revoked, or (then with a soft logout) expired.
    /// [`Error::UserLocked`]: the account is locked.
    pub async fn authenticate(&self, token: &str) -> Result<Requester> {
        let known = self.known(token).await?;
        if known.locked {
            Err(Error::UserLocked)
        } else {
            Ok(known.requester.clone())
        }
    }

    /// As [`authenticate`](Self::authenticate), but for locked accounts too: they may log out.
    pub async fn authenticate_to_log_out(&self, token: &str) -> Result<Requester> {
        Ok(self.known(token).await?.requester.clone())
    }

    async fn known(&self, token: &str) -> Result<Arc<Known>> {
        let hash = token::hash(token);
        let known = match self.inner.tokens.get(&hash) {
            Some(known) => known,
            None => self.look_up(hash).await?,
        };
        if known
            .expires_ms
            .is_some_and(|expires_ms| self.now_ms() >= expires_ms)
        {
            return Err(Error::UnknownToken { soft_logout: true });
        }
        Ok(known)
    }

    async fn look_up(&self, hash: Hash) -> Result<Arc<Known>> {
        let epoch = self.inner.tokens.epoch();
        let unknown = Error::UnknownToken { soft_logout: false };
        let Some(row) = tokens::access(self.inner.store.reader(), &hash).await? else {
            return Err(unknown);
        };
        let user_id = UserId::parse(&row.user_id)
            .map_err(|_| Error::Internal(format!("a token of {}, no user", row.user_id)))?;
        let Some(account) = self
            .account(&user_id)
            .await?
            .filter(|account| !account.deactivated)
        else {
            return Err(unknown);
        };
        let device_id = Some(OwnedDeviceId::from(row.device_id.as_str()));
        let requester = Requester {
            user_id,
            device_id,
            admin: account.admin,
            guest: account.guest,
        };
        let known = Arc::new(Known {
            requester,
            expires_ms: row.expires_ts,
            locked: account.locked,
        });
        if !row.used {
            self.used_first(row).await?;
        }
        self.inner.tokens.remember(epoch, hash, Arc::clone(&known));
        Ok(known)
    }

    /// The first use of an access token shows that its client has received it: what it replaces is void from now on
    /// ("Refreshing access tokens").
    async fn used_first(&self, row: access_token::Model) -> Result<()> {
        let mut write = match row.refresh {
            Some(refresh) => self.void_before(refresh).await?,
            None => Vec::new(),
        };
        write.push(tokens::used(row.hash));
        self.write(write).await
    }
}
