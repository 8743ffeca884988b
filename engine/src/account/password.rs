//! Passwords: argon2id, on the blocking pool, a bounded number at a time.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::secret::Secret;
use crate::{Error, Result, chance::Chance};

/// The longest password in bytes: hashing reads all of it before it can refuse.
const PASSWORD_BYTES_MAX: usize = 1024;
/// How many may wait for their turn. Who comes later is told to try again.
const WAITING_MAX: usize = 256;
/// What those are told to wait.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// What one hash costs, and what a password must have.
#[derive(Clone, Debug)]
pub struct PasswordSettings {
    /// Memory of one hash in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// How many hashes run at once: bounds both memory and processor.
    pub at_once: usize,
    /// The shortest password in characters.
    pub length_min: usize,
}

impl Default for PasswordSettings {
    /// 19 MiB in two passes: the second of the equivalent choices that OWASP recommends for argon2id.
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            at_once: 2,
            length_min: 8,
        }
    }
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    length_min: usize,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Passwords {
    /// # Errors
    /// [`Error::InvalidParam`]: a cost outside what argon2 allows.
    pub(super) fn new(settings: &PasswordSettings) -> Result<Self> {
        let params =
            Params::new(settings.memory_kib, settings.passes, 1, None).map_err(|error| {
                Error::InvalidParam(format!("the password cost is impossible: {error}"))
            })?;
        let at_once = settings.at_once.max(1);
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            length_min: settings.length_min,
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once + WAITING_MAX)),
        })
    }

    /// Checks a password that somebody chooses.
    ///
    /// # Errors
    /// [`Error::WeakPassword`]: too short. [`Error::TooLarge`]: over 1024 bytes.
    pub(super) fn accept(&self, password: &Secret) -> Result<()> {
        if password.reveal().len() > PASSWORD_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "A password may have {PASSWORD_BYTES_MAX} bytes"
            )));
        }
        if password.reveal().chars().count() < self.length_min {
            let least = self.length_min;
            return Err(Error::WeakPassword(format!(
                "A password needs at least {least} characters"
            )));
        }
        Ok(())
    }

    /// The hash to store, as a PHC string with a salt of its own.
    pub(super) async fn hash(&self, password: Secret, chance: &Chance) -> Result<String> {
        let salt = chance.bytes::<16>();
        self.in_turn(move |argon2| {
            let hash = argon2.hash_password_with_salt(password.reveal().as_bytes(), &salt);
            hash.map(|phc| phc.to_string())
                .map_err(|error| Error::Internal(error.to_string()))
        })
        .await?
    }

    /// Whether `password` belongs to `hash`. `None`, an account that has none or is not there, costs the same work
    /// as a wrong password, so that the time tells nothing.
    pub(super) async fn matches(&self, password: Secret, hash: Option<String>) -> Result<bool> {
        if password.reveal().len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.in_turn(move |argon2| match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => argon2
                .verify_password(password.reveal().as_bytes(), &hash)
                .is_ok(),
            Some(Err(error)) => {
                tracing::error!(%error, "a stored password hash is not readable");
                false
            }
            None => {
                let mut unused = [0; 32];
                // The result is thrown away: only the work counts.
                let _ = argon2.hash_password_into(
                    password.reveal().as_bytes(),
                    b"nobody's salt...",
                    &mut unused,
                );
                false
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Error::LimitExceeded {
            retry_after: RETRY_AFTER,
        })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Error::Internal("password hashing has stopped".to_owned()))?;
        let argon2 = self.argon2.clone();
        // The permits travel with the work: an asker who goes away does not let the next one in too early.
        let done = tokio::task::spawn_blocking(move || {
            let result = work(argon2);
            drop((turn, place));
            result
        });
        done.await
            .map_err(|error| Error::Internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::{PasswordSettings, Passwords};
    use crate::{Error, account::Secret, chance::Chance};

    fn cheap() -> Passwords {
        let settings = PasswordSettings {
            memory_kib: 8,
            passes: 1,
            at_once: 2,
            length_min: 8,
        };
        Passwords::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let (passwords, chance) = (cheap(), Chance::seeded(1));
        let hash = passwords.hash("übers3kr3t".into(), &chance).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(
            passwords
                .matches("übers3kr3t".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.matches("wrong".into(), Some(hash)).await.unwrap());
        assert!(!passwords.matches("übers3kr3t".into(), None).await.unwrap());
        assert!(
            !passwords
                .matches("übers3kr3t".into(), Some("rubbish".into()))
                .await
                .unwrap()
        );
    }

    #[test]
    fn short_and_giant_passwords_are_refused() {
        let passwords = cheap();
        passwords.accept(&"ünïcödë!".into()).unwrap();
        let short = passwords.accept(&"1234567".into());
        assert!(matches!(short, Err(Error::WeakPassword(_))), "{short:?}");
        let giant = passwords.accept(&Secret::new("x".repeat(1025)));
        assert!(matches!(giant, Err(Error::TooLarge(_))), "{giant:?}");
    }
}
