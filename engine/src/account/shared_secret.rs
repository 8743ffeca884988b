//! `/_synapse/admin/v1/register`: accounts made by tools that know a secret. Not in the specification; the messages,
//! the keyed hash and the answers are those of Synapse, "Shared-secret registration".

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::{Accounts, DeviceWish, Registered, Secret, register::Admin};
use crate::{Error, Result};

/// How long a nonce is good, in milliseconds.
const NONCE_LIFETIME_MS: i64 = 60_000;
/// How many nonces are kept. The oldest gives way.
const NONCES_MAX: usize = 1_000;

/// A request for an account.
#[derive(Clone, Debug)]
pub struct Ask {
    /// From [`Accounts::nonce`]; good for one request.
    pub nonce: String,
    /// The localpart.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// Whether it may administer the server.
    pub admin: bool,
    /// Part of the hash if given. This server has no kinds of users.
    pub user_type: Option<String>,
    /// The profile's display name; `None`: none.
    pub displayname: Option<String>,
    /// The hash, in hexadecimal.
    pub mac: String,
    /// Whether to do without a session.
    pub inhibit_login: bool,
    /// What session is wanted otherwise.
    pub device: DeviceWish,
}

/// Nonces given out and not yet used, oldest first.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<VecDeque<(i64, String)>>);

impl Nonces {
    fn add(&self, now_ms: i64, nonce: String) {
        let mut live = self.live(now_ms);
        if live.len() >= NONCES_MAX {
            live.pop_front();
        }
        live.push_back((now_ms, nonce));
    }

    /// Whether `nonce` was good. It no longer is.
    fn spend(&self, now_ms: i64, nonce: &str) -> bool {
        let mut live = self.live(now_ms);
        let at = live.iter().position(|(_, good)| good == nonce);
        at.and_then(|at| live.remove(at)).is_some()
    }

    fn live(&self, now_ms: i64) -> MutexGuard<'_, VecDeque<(i64, String)>> {
        let mut live = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        while live
            .front()
            .is_some_and(|(given_ms, _)| now_ms - given_ms >= NONCE_LIFETIME_MS)
        {
            live.pop_front();
        }
        live
    }
}

impl Accounts {
    /// A nonce for [`register_with_shared_secret`](Self::register_with_shared_secret), good for a minute.
    ///
    /// # Errors
    /// [`Error::Refused`]: the server has no shared secret.
    pub fn nonce(&self) -> Result<String> {
        self.shared_secret()?;
        let nonce = STANDARD_NO_PAD.encode(self.inner.chance.bytes::<48>());
        self.inner.nonces.add(self.now_ms(), nonce.clone());
        Ok(nonce)
    }

    /// Makes an account for somebody who knows the shared secret.
    ///
    /// # Errors
    /// [`Error::Refused`]: the server has no shared secret, or the nonce is unknown. [`Error::Forbidden`]: the hash is
    /// wrong. [`Error::UserInUse`], [`Error::InvalidUsername`], [`Error::WeakPassword`], [`Error::InvalidParam`].
    pub async fn register_with_shared_secret(&self, ask: Ask) -> Result<Registered> {
        let secret = self.shared_secret()?;
        if !self.inner.nonces.spend(self.now_ms(), &ask.nonce) {
            return Err(Error::Refused(
                "The nonce is unknown or over a minute old".to_owned(),
            ));
        }
        if !is_signed(secret, &ask) {
            return Err(Error::Forbidden(
                "The HMAC is wrong: check the shared secret".to_owned(),
            ));
        }
        let user_id = self.free_to_choose(&ask.username)?;
        self.inner.passwords.accept(&ask.password)?;
        if self.account(&user_id).await?.is_some() {
            return Err(Error::UserInUse);
        }
        let mut rows = Vec::new();
        if let Some(name) = &ask.displayname {
            rows.push(crate::profile::row(
                &user_id,
                "displayname",
                &name.as_str().into(),
            ));
        }
        let login = match ask.inhibit_login {
            true => None,
            false => {
                let (grant, login) = self.grant(user_id.clone(), ask.device).await?;
                rows.extend(grant);
                Some(login)
            }
        };
        let admin = if ask.admin { Admin::Yes } else { Admin::No };
        self.create_account(&user_id, Some(ask.password), admin, rows)
            .await?;
        Ok(Registered { user_id, login })
    }

    fn shared_secret(&self) -> Result<&Secret> {
        let secret = self.inner.settings.registration_shared_secret.as_ref();
        secret.ok_or_else(|| {
            Error::Refused("This server has no shared secret for registration".to_owned())
        })
    }
}

/// Whether the hash belongs to the rest. Takes the same time wherever it differs.
fn is_signed(secret: &Secret, ask: &Ask) -> bool {
    let admin = if ask.admin { "admin" } else { "notadmin" };
    let mut fields = vec![
        ask.nonce.as_str(),
        &ask.username,
        ask.password.reveal(),
        admin,
    ];
    fields.extend(ask.user_type.as_deref());
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(fields.join("\0").as_bytes());
    from_hex(&ask.mac).is_some_and(|given| mac.verify_slice(&given).is_ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ask, NONCE_LIFETIME_MS, Nonces, is_signed};
    use crate::account::DeviceWish;

    /// The hash was computed with Python's `hmac`, key `sekret`, over
    /// `thisisanonce\0pepper_roni\0pizza\0admin` and the same with `\0bot`.
    #[test]
    fn the_hash_is_that_of_synapse() {
        let mut ask = Ask {
            nonce: "thisisanonce".to_owned(),
            username: "pepper_roni".to_owned(),
            password: "pizza".into(),
            admin: true,
            user_type: None,
            displayname: None,
            mac: "94b32a547e4547b76e939b08939df13da409c028".to_owned(),
            inhibit_login: false,
            device: DeviceWish::default(),
        };
        let secret = "sekret".into();
        assert!(is_signed(&secret, &ask));
        ask.admin = false;
        assert!(!is_signed(&secret, &ask));
        ask.admin = true;
        ask.user_type = Some("bot".to_owned());
        assert!(!is_signed(&secret, &ask));
        ask.mac = "3ab86076e1c1a238aaaef03673dc38a0fad8c428".to_owned();
        assert!(is_signed(&secret, &ask));
        for mac in ["", "0", "zz", "0011"] {
            ask.mac = mac.to_owned();
            assert!(!is_signed(&secret, &ask), "{mac}");
        }
    }

    #[test]
    fn a_nonce_is_good_once_and_for_a_minute() {
        let nonces = Nonces::default();
        nonces.add(0, "one".to_owned());
        nonces.add(0, "two".to_owned());
        assert!(nonces.spend(0, "one"));
        assert!(!nonces.spend(0, "one"));
        assert!(!nonces.spend(NONCE_LIFETIME_MS, "two"));
        assert!(!nonces.spend(0, "three"));
    }
}
