//! [`Engine`]: what the APIs may ask. A first stand-in: it knows no tokens yet.

use crate::{Error, Requester, Result};

/// The homeserver's decisions, behind one cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Engine;

impl Engine {
    /// Who an access token belongs to.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]: never given out, revoked or expired.
    #[expect(clippy::unused_async, reason = "it will look into the store")]
    pub async fn authenticate(&self, _token: &str) -> Result<Requester> {
        Err(Error::UnknownToken { soft_logout: false })
    }
}
