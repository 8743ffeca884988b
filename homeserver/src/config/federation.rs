//! Section `federation`: how this server meets others.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::section::section;

section! {
    /// How this server meets other servers.
    "federation" Federation {
        /// How long other servers may rely on our signing key before they ask again.
        key_validity: Duration, default "1 d";

        /// Certificate authorities to trust besides the usual ones, PEM files.
        trusted_ca: Vec<PathBuf>, default [];

        /// Private networks that this server may connect to. All others are refused, so that
        /// nobody can make it reach into your own network.
        allow_addresses: Vec<IpNet>, default [];
    }
}
