//! Randomness as a parameter: tokens, device ids and salts come from a [`Chance`], which tests seed.

use std::sync::Mutex;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{
    Rng as _, SeedableRng as _, TryRng as _,
    rngs::{StdRng, SysRng},
};

const UPPER: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

/// A cryptographically secure source of random bytes.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// A source that starts from the operating system's randomness.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: no token would be safe then.
    #[must_use]
    pub fn from_system() -> Self {
        let mut seed = [0; 32];
        SysRng
            .try_fill_bytes(&mut seed)
            .expect("the operating system gives random bytes");
        Self(Mutex::new(StdRng::from_seed(seed)))
    }

    /// A source that gives the same bytes for the same `seed`: for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .fill_bytes(&mut bytes);
        bytes
    }

    /// 256 random bits in the URL-safe alphabet: 43 characters of `A-Z a-z 0-9 - _`.
    #[must_use]
    pub fn secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// `length` random letters `A-Z`.
    #[must_use]
    pub fn upper_case(&self, length: usize) -> String {
        self.letters(UPPER, length)
    }

    /// `length` random letters `a-z`.
    #[must_use]
    pub fn lower_case(&self, length: usize) -> String {
        self.letters(LOWER, length)
    }

    /// Bytes above the largest multiple of 26 are thrown away, so that all letters are equally likely.
    fn letters(&self, alphabet: &[u8; 26], length: usize) -> String {
        let mut letters = String::with_capacity(length);
        while letters.len() < length {
            let fair = self.bytes::<32>().into_iter().filter(|byte| *byte < 234);
            let missing = length - letters.len();
            letters.extend(
                fair.take(missing)
                    .map(|byte| char::from(alphabet[usize::from(byte % 26)])),
            );
        }
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_decides_and_letters_are_letters() {
        let (one, same, other) = (Chance::seeded(1), Chance::seeded(1), Chance::seeded(2));
        assert_eq!(one.secret(), same.secret());
        assert_ne!(one.secret(), other.secret());
        let device = one.upper_case(10);
        assert!(
            device.len() == 10 && device.bytes().all(|b| b.is_ascii_uppercase()),
            "{device}"
        );
        assert_eq!(one.secret().len(), 43);
    }
}
