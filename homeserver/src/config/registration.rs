//! Section `registration`: who may make an account.

use super::raw::Raw;
use super::section::{Setting, section};
use super::value::Secret;

section! {
    /// Who may make an account. The very first account becomes the administrator's.
    "registration" Registration {
        /// "closed": nobody but administrators, with the command line or the shared secret.
        /// "token": whoever has a registration token.
        /// "open": everybody who can reach the server. Never do this on a public address without
        /// other protection.
        mode: RegistrationMode, default "closed";

        /// Whether everybody may look in as a guest, without a password, and join the rooms that admit guests.
        guests: bool, default false;

        /// Whoever knows this text can make accounts, administrators too, through
        /// /_synapse/admin/v1/register. Many tools use it. Left out, that way is closed.
        shared_secret: Option<Secret>, example "a long random text";
    }
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistrationMode {
    Closed,
    Token,
    Open,
}

impl std::fmt::Display for RegistrationMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Token => "token",
            Self::Open => "open",
        })
    }
}

impl Setting for RegistrationMode {
    const EXPECTED: &'static str = r#""closed", "token" or "open""#;

    fn read(raw: &Raw) -> Option<Self> {
        match raw.text()? {
            "closed" => Some(Self::Closed),
            "token" => Some(Self::Token),
            "open" => Some(Self::Open),
            _ => None,
        }
    }
}
