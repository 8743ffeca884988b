//! `homeserver serve`: starts the server.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::place::{Place, list, text};
use crate::app;
use crate::config::{Config, FlagValue, Raw};
use crate::telemetry;

/// Flags of `serve`. Each sets one key of the configuration and wins over file and environment.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    place: Place,

    /// Where clients connect (address and port; port 0 picks a free one). May be repeated.
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,

    /// Where other servers connect. May be repeated.
    #[arg(long, value_name = "ADDR")]
    listen_federation: Vec<String>,

    /// The certificate chain of the federation listener (PEM).
    #[arg(long, value_name = "PEM")]
    tls_cert: Option<String>,

    /// The private key of that certificate (PEM).
    #[arg(long, value_name = "PEM")]
    tls_key: Option<String>,

    /// A certificate authority to trust besides the usual ones (PEM). May be repeated.
    #[arg(long, value_name = "PEM")]
    trusted_ca: Vec<String>,

    /// A private network that this server may connect to. May be repeated.
    #[arg(long, value_name = "CIDR")]
    allow_address: Vec<String>,

    /// Servers that this server does not talk to, `*` for any text. May be repeated.
    #[arg(long, value_name = "NAME")]
    deny_server: Vec<String>,

    /// Servers that this server talks to, `*` for any text; without this flag to all. May be repeated.
    #[arg(long, value_name = "NAME")]
    allow_server: Vec<String>,

    /// Identity servers by which users may invite, `*` for any text. May be repeated.
    #[arg(long, value_name = "NAME")]
    identity_server: Vec<String>,

    /// Everybody who reaches the server may make an account.
    #[arg(long)]
    open_registration: bool,

    /// Everybody may look in as a guest.
    #[arg(long)]
    allow_guests: bool,

    /// Whoever knows this text can make accounts, administrators too.
    #[arg(long, value_name = "SECRET")]
    registration_shared_secret: Option<String>,

    /// Nobody is told to wait. For tests and measurements.
    #[arg(long)]
    no_rate_limits: bool,

    /// Write the addresses that the server listens on to this file, as JSON, once it does.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Flags {
    fn values(self) -> Vec<FlagValue> {
        let mut values = self.place.values();
        let texts = [
            text("listeners.federation.tls_cert", "--tls-cert", self.tls_cert),
            text("listeners.federation.tls_key", "--tls-key", self.tls_key),
            text(
                "registration.shared_secret",
                "--registration-shared-secret",
                self.registration_shared_secret,
            ),
        ];
        let lists = [
            list("listeners.client.addresses", "--listen", self.listen),
            list(
                "listeners.federation.addresses",
                "--listen-federation",
                self.listen_federation,
            ),
            list("federation.trusted_ca", "--trusted-ca", self.trusted_ca),
            list(
                "federation.allow_addresses",
                "--allow-address",
                self.allow_address,
            ),
            list("federation.deny_servers", "--deny-server", self.deny_server),
            list(
                "federation.allow_servers",
                "--allow-server",
                self.allow_server,
            ),
            list(
                "identity.servers",
                "--identity-server",
                self.identity_server,
            ),
        ];
        values.extend(texts.into_iter().chain(lists).flatten());
        if self.open_registration {
            values.push((
                "registration.mode",
                "--open-registration",
                Raw::from("open"),
            ));
        }
        if self.allow_guests {
            values.push(("registration.guests", "--allow-guests", Raw::from(true)));
        }
        if self.no_rate_limits {
            values.push(("limits.rate_limits", "--no-rate-limits", Raw::from(false)));
        }
        values
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// A bad configuration, data or addresses that are in use, a failure while stopping.
pub(crate) fn run(file: Option<&Path>, mut flags: Flags) -> Result<(), Failure> {
    let ready_file = flags.ready_file.take();
    let config = Config::load(file, flags.values())?;
    telemetry::log(&config.log);
    Ok(app::run(&config, ready_file.as_deref())?)
}
