//! Section `federation`: how this server meets others.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use ruma::OwnedServerName;

use super::raw::Raw;
use super::section::{Setting, section};
use super::value::ServerGlob;

section! {
    /// How this server meets other servers.
    "federation" Federation {
        /// How long other servers may rely on our signing key before they ask again: 1 h to 7 d.
        key_validity: KeyValidity, default "1 d";

        /// Certificate authorities to trust besides the usual ones, PEM files.
        trusted_ca: Vec<PathBuf>, default [];

        /// Private networks that this server may connect to. All others are refused, so that
        /// nobody can make it reach into your own network.
        allow_addresses: Vec<IpNet>, default [];

        /// The servers that this server talks to, by name without port; `*` and `?` stand for any text
        /// and any character.
        allow_servers: Vec<ServerGlob>, default ["*"];

        /// Servers that this server does not talk to, though `allow_servers` has them.
        deny_servers: Vec<ServerGlob>, default [];

        /// Servers that are asked for the signing keys of those that do not answer themselves, as
        /// in old rooms. What they say is checked, but they could vouch for a server that is gone.
        key_notaries: Vec<OwnedServerName>, default ["matrix.org"];
    }
}

/// A time within what the specification lets servers believe a key for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KeyValidity(pub(crate) Duration);

impl Setting for KeyValidity {
    const EXPECTED: &'static str = r#"a time from "1 h" to "7 d""#;

    fn read(raw: &Raw) -> Option<Self> {
        let allowed = Duration::from_secs(3_600)..=Duration::from_secs(7 * 86_400);
        Duration::read(raw)
            .filter(|time| allowed.contains(time))
            .map(Self)
    }
}
