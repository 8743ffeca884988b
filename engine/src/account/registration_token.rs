//! Registration tokens: client-server API, "Token-authenticated registration".
//!
//! A token is spent when the registration is complete. Until then the session of the registration holds it, in memory:
//! it counts as a use for others, and comes free when the session expires.

use storage::{Plain, entity::registration_token, registration_tokens};

use super::{Accounts, Registration};
use crate::{Error, Result};

/// The longest token in characters: client-server API, "Token-authenticated registration".
const TOKEN_LENGTH_MAX: usize = 64;
/// Length of a token that this server makes up: 75 bits.
const TOKEN_LETTERS: usize = 16;

/// A token to hand out.
#[derive(Clone, Debug, Default)]
pub struct NewRegistrationToken {
    /// The token; `None`: a random one.
    pub token: Option<String>,
    /// How many accounts may be made with it; `None`: any number.
    pub uses_allowed: Option<i64>,
    /// From when on it is of no use, in milliseconds since the epoch; `None`: never.
    pub expires_ms: Option<i64>,
}

/// How often a token was used, and may be.
pub(super) struct Uses {
    allowed: Option<i64>,
    completed: i64,
}

impl Uses {
    /// How many accounts can still be made; `None`: any number.
    pub(super) fn left(&self) -> Option<i64> {
        self.allowed.map(|allowed| allowed - self.completed)
    }
}

impl Accounts {
    /// Whether a registration with `token` could begin now.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: registration is closed, so that no token is of any use.
    pub async fn registration_token_is_valid(&self, token: &str) -> Result<bool> {
        if self.registration() == Registration::Closed {
            return Err(super::register::closed());
        }
        let Some(uses) = self.registration_token_uses(token).await? else {
            return Ok(false);
        };
        let pending = self.inner.sessions.holders(token, self.now_ms());
        Ok(uses.left().is_none_or(|left| left > pending))
    }

    /// Makes a registration token, and returns it.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: empty, too long, with characters outside `A-Z a-z 0-9 . _ ~ -`, or taken.
    pub async fn create_registration_token(&self, new: NewRegistrationToken) -> Result<String> {
        let token = new
            .token
            .unwrap_or_else(|| self.inner.chance.upper_case(TOKEN_LETTERS));
        if !is_well_formed(&token) {
            return Err(Error::InvalidParam(format!(
                "A registration token has 1 to {TOKEN_LENGTH_MAX} of the characters A-Z a-z 0-9 . _ ~ -"
            )));
        }
        let row = registration_token::Model {
            token: token.clone(),
            uses_allowed: new.uses_allowed,
            pending: 0,
            completed: 0,
            expires_ts: new.expires_ms,
        };
        let write = storage::Write::plain(vec![Plain::RegistrationToken(row)]);
        match self.inner.store.write(write).await {
            Ok(_) => Ok(token),
            Err(storage::Error::Conflict(_)) => Err(Error::InvalidParam(
                "There is such a registration token already".to_owned(),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// The uses of `token`; `None` if there is no such token, or it has expired.
    pub(super) async fn registration_token_uses(&self, token: &str) -> Result<Option<Uses>> {
        if !is_well_formed(token) {
            return Ok(None);
        }
        let row = registration_tokens::find(self.inner.store.reader(), token).await?;
        let now_ms = self.now_ms();
        Ok(row
            .filter(|row| row.expires_ts.is_none_or(|expires_ms| now_ms < expires_ms))
            .map(|row| Uses {
                allowed: row.uses_allowed,
                completed: row.completed,
            }))
    }
}

/// Appendices, "Opaque Identifiers".
fn is_well_formed(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=TOKEN_LENGTH_MAX).contains(&token.len()) && token.bytes().all(allowed)
}
