//! What a successful login or registration gives: a device and its tokens.

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use storage::{
    Plain, devices,
    entity::{access_token, device},
};

use super::{Accounts, Secret, token};
use crate::{Error, Result};

/// Length of the device ids that this server makes up, in letters: 47 bits, unique per user.
const DEVICE_ID_LETTERS: usize = 10;
/// The longest device id that a client may choose, in bytes.
const DEVICE_ID_BYTES_MAX: usize = 255;
/// The longest name that a device may have, in bytes.
const DISPLAY_NAME_BYTES_MAX: usize = 1024;

/// What a client wants of the session that it is going to have.
#[derive(Clone, Debug, Default)]
pub struct DeviceWish {
    /// The device to go on with, or the id of the new one; `None`: the server chooses.
    pub device_id: Option<OwnedDeviceId>,
    /// The name of a new device. One that exists keeps its own.
    pub display_name: Option<String>,
    /// Whether the client knows what to do with a refresh token.
    pub refreshable: bool,
}

/// A session: the tokens in clear, which nobody can learn later.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whose.
    pub user_id: OwnedUserId,
    /// On which device.
    pub device_id: OwnedDeviceId,
    /// For the requests.
    pub access_token: Secret,
    /// For the next access token, if the client can deal with that.
    pub refresh_token: Option<Secret>,
    /// How long the access token lasts; `None`: until the logout.
    pub expires_in_ms: Option<i64>,
}

impl DeviceWish {
    /// # Errors
    /// [`Error::InvalidParam`]: an empty or overlong device id or name.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(device_id) = &self.device_id {
            let text = device_id.as_str();
            if !(1..=DEVICE_ID_BYTES_MAX).contains(&text.len()) || text.contains('\0') {
                let sentence =
                    format!("A device ID has 1 to {DEVICE_ID_BYTES_MAX} bytes, and no NUL");
                return Err(Error::InvalidParam(sentence));
            }
        }
        self.display_name
            .as_deref()
            .map_or(Ok(()), check_display_name)
    }
}

/// # Errors
/// [`Error::InvalidParam`]: an overlong name.
pub(super) fn check_display_name(name: &str) -> Result<()> {
    if name.len() > DISPLAY_NAME_BYTES_MAX || name.contains('\0') {
        let sentence =
            format!("A device's name may have {DISPLAY_NAME_BYTES_MAX} bytes, and no NUL");
        return Err(Error::InvalidParam(sentence));
    }
    Ok(())
}

impl Accounts {
    /// The rows that make a session for `user_id`, and its tokens.
    ///
    /// A device that exists is gone on with: its name stays, its earlier tokens end ("Relationship between access
    /// tokens and devices"). Whoever commits the rows calls [`granted`](Self::granted) then.
    pub(super) async fn grant(
        &self,
        user_id: OwnedUserId,
        wish: DeviceWish,
    ) -> Result<(Vec<Plain>, Login)> {
        wish.check()?;
        let inner = &self.inner;
        let device_id = wish
            .device_id
            .unwrap_or_else(|| inner.chance.upper_case(DEVICE_ID_LETTERS).as_str().into());
        let (user, device) = (user_id.to_string(), device_id.to_string());

        let mut rows = Vec::new();
        if devices::find(inner.store.reader(), &user_id, &device_id)
            .await?
            .is_some()
        {
            rows.push(Plain::DeviceTokensDelete {
                user_id: user_id.clone(),
                device_id: device.clone(),
            });
        } else {
            rows.push(Plain::Device(device::Model {
                user_id: user.clone(),
                device_id: device.clone(),
                display_name: wish.display_name,
                created_ts: self.now_ms(),
                last_seen_ts: None,
                last_seen_ip: None,
                last_seen_user_agent: None,
            }));
        }
        let (access_token, refresh_token, expires_in_ms) = if wish.refreshable {
            let pair = self.pair(user, device);
            rows.extend(pair.rows);
            let lasts = inner.settings.refreshable_token_lifetime_ms;
            (pair.access_token, Some(pair.refresh_token), Some(lasts))
        } else {
            let access_token = token::new_access(&inner.chance);
            let lasts = inner.settings.token_lifetime_ms;
            rows.push(Plain::AccessToken(access_token::Model {
                hash: token::hash(access_token.reveal()).to_vec(),
                user_id: user,
                device_id: device,
                expires_ts: lasts.map(|lasts| self.now_ms() + lasts),
                refresh: None,
                used: true,
            }));
            (access_token, None, lasts)
        };
        Ok((
            rows,
            Login {
                user_id,
                device_id,
                access_token,
                refresh_token,
                expires_in_ms,
            },
        ))
    }

    /// To be called when the rows of a [`grant`](Self::grant) are committed: earlier tokens of the device have ended.
    pub(super) fn granted(&self, login: &Login) {
        self.forget_device(&login.user_id, &login.device_id);
    }

    pub(super) fn forget_device(&self, user_id: &UserId, device_id: &ruma::DeviceId) {
        self.inner.tokens.forget(user_id, |known| {
            known.requester.device_id.as_deref() == Some(device_id)
        });
    }
}
