//! Section `federation`: how this server meets others.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use federation::Proxy;
use ipnet::IpNet;
use ruma::OwnedServerName;

use super::database::without_password;
use super::raw::Raw;
use super::section::{Setting, section};
use super::value::{Count, ServerGlob};

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

        /// An HTTP proxy that all connections to other servers and to push gateways go through, if nothing
        /// else leaves your network. It must allow `CONNECT`, to port 8448 too. Names are looked up by
        /// the proxy, so it must be the one to refuse private networks; those that this server knows to be
        /// private are refused here as well.
        proxy: Option<ProxyUrl>, example "http://user:password@proxy.example.org:3128";

        /// Whether push gateways may be told over plain http:// too, such as one of your own in a private
        /// network that allow_addresses names. Anybody on the way can read what they are told.
        plain_push_gateways: bool, default false;

        /// The servers that this server talks to, by name without port; `*` and `?` stand for any text
        /// and any character.
        allow_servers: Vec<ServerGlob>, default ["*"];

        /// Servers that this server does not talk to, though `allow_servers` has them.
        deny_servers: Vec<ServerGlob>, default [];

        /// Servers that are asked for the signing keys of those that do not answer themselves, as
        /// in old rooms. What they say is checked, but they could vouch for a server that is gone.
        key_notaries: Vec<OwnedServerName>, default ["matrix.org"];

        /// A server that was away gets all events that it missed, up to this number. Of more it gets the
        /// newest of each room, and asks for those before as it needs them.
        catch_up_max: Count, default 5000;
    }
}

/// Where a proxy is; it may hold a password.
#[derive(Clone, PartialEq)]
pub(crate) struct ProxyUrl(String);

impl ProxyUrl {
    pub(crate) fn proxy(&self) -> Option<Proxy> {
        Proxy::parse(&self.0)
    }
}

impl Setting for ProxyUrl {
    const EXPECTED: &'static str = r#"a URL like "http://user:password@proxy.example.org:3128""#;

    fn read(raw: &Raw) -> Option<Self> {
        let url = Self(raw.text()?.to_owned());
        url.proxy().is_some().then_some(url)
    }

    fn shown(raw: &Raw) -> String {
        match raw.text() {
            Some(text) => format!("\"{}\"", without_password(text)),
            None => raw.to_string(),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
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
