//! OpenID tokens, by which a third party learns who somebody is, and nothing else: client-server API, "OpenID".

use std::time::Duration;

use ruma::{OwnedUserId, UserId};
use storage::{Plain, entity::openid_token, tokens};

use super::{
    Accounts,
    secret::Secret,
    token::{hash, new_openid},
};
use crate::{Error, Requester, Result};

/// How long a token proves who its user is.
const LIFETIME: Duration = Duration::from_secs(3600);

impl Accounts {
    /// A token by which others may ask this server who `by` is, and how long it does.
    ///
    /// Tokens that have run out are deleted on this occasion.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `user_id` is somebody else.
    pub async fn openid_token(
        &self,
        by: &Requester,
        user_id: &UserId,
    ) -> Result<(Secret, Duration)> {
        if by.user_id != user_id {
            return Err(Error::Forbidden(
                "You can prove to be yourself only".to_owned(),
            ));
        }
        let token = new_openid(&self.inner.chance);
        let now_ms = self.now_ms();
        let lifetime_ms = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let row = openid_token::Model {
            hash: hash(token.reveal()).to_vec(),
            user_id: user_id.to_string(),
            expires_ts: now_ms.saturating_add(lifetime_ms),
        };
        let expired = Plain::OpenIdTokensExpired { now_ts: now_ms };
        self.write(vec![expired, Plain::OpenIdToken(row)]).await?;
        Ok((token, LIFETIME))
    }

    /// Whom an OpenID token stands for.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]: this server has not made it, it has run out, or its account is closed.
    pub async fn openid_user(&self, token: &str) -> Result<OwnedUserId> {
        let unknown = Error::UnknownToken { soft_logout: false };
        let found = tokens::openid(self.store().reader(), &hash(token)).await?;
        let Some(found) = found.filter(|found| found.expires_ts > self.now_ms()) else {
            return Err(unknown);
        };
        let Ok(user_id) = UserId::parse(found.user_id) else {
            return Err(unknown);
        };
        match self.account(&user_id).await? {
            Some(account) if !account.deactivated => Ok(user_id),
            _ => Err(unknown),
        }
    }
}
