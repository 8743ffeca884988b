//! `homeserver config check` and `homeserver config example`.

use std::path::Path;

use clap::Subcommand;

use super::place::Place;
use super::{Failure, say};
use crate::config::{Config, example};
use crate::tls;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check the configuration without starting the server.
    Check(Place),
    /// Print an example configuration: every setting with its meaning and its default.
    Example,
}

/// Checks, or prints the example.
///
/// # Errors
/// The configuration is wrong, or a file that it names cannot be used.
pub(crate) fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Example => say(example().trim_end()),
        Command::Check(place) => {
            let config = Config::load(file, place.values())?;
            tls::check(&config)?;
            say(summary(&config));
        }
    }
    Ok(())
}

fn summary(config: &Config) -> String {
    format!(
        "The configuration is good.\n  \
         server        {}\n  \
         data          {}\n  \
         database      {}\n  \
         clients       {}\n  \
         federation    {}\n  \
         registration  {}",
        config.server.name,
        config.server.data_dir.display(),
        config.database_url(),
        join(&config.client.addresses),
        if config.federation_listener.addresses.is_empty() {
            "on the same listener as clients".to_owned()
        } else {
            join(&config.federation_listener.addresses)
        },
        config.registration.mode,
    )
}

fn join(addresses: &[std::net::SocketAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
