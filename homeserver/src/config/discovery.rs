//! Section `discovery`: what `/.well-known/matrix/…` says.

use ruma::OwnedServerName;

use super::section::section;
use super::value::BaseUrl;

section! {
    /// What /.well-known/matrix/client and /.well-known/matrix/server tell those who know only the
    /// server's name.
    "discovery" Discovery {
        /// The URL at which clients reach this server. Left out, it is the one at which the
        /// question was asked, which is right as long as everything is behind one address.
        client_url: Option<BaseUrl>, example "https://matrix.example.org";

        /// The host and port at which other servers reach this server. Left out, it is server.name
        /// with port 443: the question was asked there, and the client listener answers servers.
        server: Option<OwnedServerName>, example "matrix.example.org:443";
    }
}
