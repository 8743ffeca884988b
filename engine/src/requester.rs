//! Who asks: the account and the device behind an authenticated request.

use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{Error, Result};

/// The account and device behind a request whose access token was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The account.
    pub user_id: OwnedUserId,
    /// The device that the token belongs to; absent for application services.
    pub device_id: Option<OwnedDeviceId>,
    /// Whether the account administers this server.
    pub admin: bool,
    /// Whether the account is a guest.
    pub guest: bool,
}

impl Requester {
    /// Refuses all but administrators.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the account does not administer this server.
    pub fn require_admin(&self) -> Result<()> {
        if self.admin {
            return Ok(());
        }
        Err(Error::Forbidden(
            "Only administrators of this server may do this".to_owned(),
        ))
    }

    /// The name of the device, empty without one.
    pub(crate) fn device(&self) -> &str {
        self.device_id.as_ref().map_or("", |device| device.as_str())
    }
}
