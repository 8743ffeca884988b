//! Sections `listeners.client` and `listeners.federation`: where the server listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Config;
use super::problem::Problem;
use super::section::section;
use super::source::Source;
use super::value::WebOrigin;

section! {
    /// Where clients connect. Other servers are answered here too, so that one reverse proxy with
    /// one certificate is enough for everything.
    "listeners.client" ClientListener {
        /// The addresses and ports. Keep the loopback address behind a reverse proxy; "[::]:8008"
        /// listens on all interfaces.
        addresses: Vec<SocketAddr>, default ["127.0.0.1:8008"];

        /// Whether a reverse proxy of yours stands in front of all of them. Then the last address
        /// in X-Forwarded-For counts as the client's, for rate limits and the list of devices, and as
        /// that of another server.
        behind_proxy: bool, default false;

        /// Web pages of which other origins may open a WebSocket here. The server's own always may.
        socket_origins: Vec<WebOrigin>, default [];

        /// The certificate chain for TLS, a PEM file. Without it, connections are plain HTTP.
        tls_cert: Option<PathBuf>, example "/etc/ssl/matrix.example.org.pem";

        /// The private key of the certificate, a PEM file.
        tls_key: Option<PathBuf>, example "/etc/ssl/private/matrix.example.org.key";
    }
}

section! {
    /// Where other servers connect, if not only through the client listener. By default other
    /// servers look for port 8448.
    "listeners.federation" FederationListener {
        /// The addresses and ports, for example ["[::]:8448"].
        addresses: Vec<SocketAddr>, default [];

        /// Whether a reverse proxy of yours stands in front of all of them, as for clients: see there.
        behind_proxy: bool, default false;

        /// The certificate chain for TLS, a PEM file. Other servers demand one that is valid for
        /// the server's name; leave it out only behind a proxy that has it.
        tls_cert: Option<PathBuf>, example "/etc/ssl/example.org.pem";

        /// The private key of the certificate, a PEM file.
        tls_key: Option<PathBuf>, example "/etc/ssl/private/example.org.key";
    }
}

/// What must hold between the keys: somewhere to listen, and certificates with their keys.
pub(super) fn check(config: &Config, source: &mut Source) {
    if config.client.addresses.is_empty() {
        source.note(Problem::of(
            "listeners.client.addresses",
            "is empty, so that no client could connect; name at least one address",
        ));
    }
    let pairs = [
        (
            "listeners.client",
            &config.client.tls_cert,
            &config.client.tls_key,
        ),
        (
            "listeners.federation",
            &config.federation_listener.tls_cert,
            &config.federation_listener.tls_key,
        ),
    ];
    for (section, cert, key) in pairs {
        let (given, missing) = match (cert, key) {
            (Some(_), None) => ("tls_cert", "tls_key"),
            (None, Some(_)) => ("tls_key", "tls_cert"),
            _ => continue,
        };
        source.note(Problem::of(
            &format!("{section}.{given}"),
            format!("is set without {section}.{missing}; TLS needs both"),
        ));
    }
}
