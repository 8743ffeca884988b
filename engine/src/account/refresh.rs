//! `POST /refresh`: client-server API, "Refreshing access tokens".
//!
//! Each refresh token was given out with one access token. Exchanging it makes a new pair; the old one is void as soon
//! as one of the new pair is used, and not before, so that a client that never got the answer may ask again.

use ruma::{OwnedDeviceId, UserId};
use storage::{
    Plain,
    entity::{access_token, refresh_token},
    tokens,
};

use super::{
    Accounts,
    grant::Login,
    token::{self, Hash},
};
use crate::{Error, Result};

impl Accounts {
    /// Exchanges a refresh token for a new access token and a new refresh token of the same device.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]: unknown, expired, or exchanged before and the new tokens were used since.
    /// [`Error::UserLocked`]: the account is locked.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Login> {
        let hash = token::hash(refresh_token);
        let _alone = self.inner.refreshing.enter(hash).await;
        let row = self.refreshable(&hash).await?;
        let user_id = UserId::parse(&row.user_id)
            .map_err(|_| Error::Internal(format!("a token of {}, no user", row.user_id)))?;

        let mut write = self.void_before(row.id).await?;
        if let Some(next) = row.next {
            // The answer to an earlier exchange got lost: its tokens were never used.
            write.extend(self.void(next).await?);
        }
        let pair = self.pair(row.user_id, row.device_id.clone());
        write.push(tokens::exchanged(row.id, pair.refresh_id));
        write.extend(pair.rows);
        self.write(write).await?;
        Ok(Login {
            user_id,
            device_id: OwnedDeviceId::from(row.device_id),
            access_token: pair.access_token,
            refresh_token: Some(pair.refresh_token),
            expires_in_ms: Some(self.inner.settings.refreshable_token_lifetime_ms),
        })
    }

    async fn refreshable(&self, hash: &Hash) -> Result<refresh_token::Model> {
        let row = tokens::refresh(self.inner.store.reader(), hash).await?;
        let row = row.ok_or(Error::UnknownToken { soft_logout: false })?;
        if row
            .expires_ts
            .is_some_and(|expires_ms| self.now_ms() >= expires_ms)
        {
            return Err(Error::UnknownToken { soft_logout: true });
        }
        let user_id = <&UserId>::try_from(row.user_id.as_str());
        let account = match user_id {
            Ok(user_id) => self.account(user_id).await?,
            Err(_) => None,
        };
        match account {
            Some(account) if account.locked => Err(Error::UserLocked),
            Some(account) if !account.deactivated => Ok(row),
            _ => Err(Error::UnknownToken { soft_logout: false }),
        }
    }

    /// The rows of a new access token and a new refresh token that belong together.
    pub(super) fn pair(&self, user_id: String, device_id: String) -> Pair {
        let inner = &self.inner;
        let now_ms = self.now_ms();
        let refresh_id = inner.store.ids().next_refresh_token();
        let access_token = token::new_access(&inner.chance);
        let refresh_token = token::new_refresh(&inner.chance);
        let rows = [
            Plain::RefreshToken(refresh_token::Model {
                id: refresh_id,
                hash: token::hash(refresh_token.reveal()).to_vec(),
                user_id: user_id.clone(),
                device_id: device_id.clone(),
                next: None,
                expires_ts: inner
                    .settings
                    .refresh_token_lifetime_ms
                    .map(|lasts| now_ms + lasts),
            }),
            Plain::AccessToken(access_token::Model {
                hash: token::hash(access_token.reveal()).to_vec(),
                user_id,
                device_id,
                expires_ts: Some(now_ms + inner.settings.refreshable_token_lifetime_ms),
                refresh: Some(refresh_id),
                used: false,
            }),
        ];
        Pair {
            refresh_id,
            access_token,
            refresh_token,
            rows,
        }
    }

    /// Voids the pairs that were exchanged for the refresh token `id`: it has arrived.
    pub(super) async fn void_before(&self, id: i64) -> Result<Vec<Plain>> {
        let mut write = Vec::new();
        for before in tokens::exchanged_for(self.inner.store.reader(), id).await? {
            write.extend(self.void(before.id).await?);
        }
        Ok(write)
    }

    /// Voids the refresh token `id` and the access token that was given out with it.
    async fn void(&self, id: i64) -> Result<Vec<Plain>> {
        let access = tokens::given_with(self.inner.store.reader(), id).await?;
        let mut write: Vec<Plain> = access
            .into_iter()
            .map(|row| Plain::AccessTokenDelete { hash: row.hash })
            .collect();
        write.push(Plain::RefreshTokenDelete { id });
        Ok(write)
    }
}

/// Two tokens that belong together.
pub(super) struct Pair {
    pub(super) refresh_id: i64,
    pub(super) access_token: super::Secret,
    pub(super) refresh_token: super::Secret,
    pub(super) rows: [Plain; 2],
}
