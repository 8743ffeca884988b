//! The command line: a file a command.

mod config;
mod federation;
mod place;
mod routes;
mod serve;
mod user;
mod version;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ENVIRONMENT_FILE;

/// Rookery, a Matrix homeserver.
///
/// Every setting can be written in one TOML file, set in the environment (limits.max_body is
/// ROOKERY_LIMITS_MAX_BODY), and the common ones given as flags; flags win over the environment,
/// and that over the file. `homeserver config example` lists all settings.
#[derive(Debug, Parser)]
#[command(name = "homeserver", version)]
pub(crate) struct Cli {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", global = true, env = ENVIRONMENT_FILE)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server.
    Serve(Box<serve::Flags>),
    /// Check a configuration, or print an example of one.
    #[command(subcommand)]
    Config(config::Command),
    /// Accounts: create them, give passwords, make administrators, hand out registration tokens.
    #[command(subcommand)]
    User(user::Command),
    /// Other servers: how they are found, and whether they answer.
    #[command(subcommand)]
    Federation(federation::Command),
    /// Print every path that the server answers.
    Routes,
    /// Print the version.
    Version,
}

impl Cli {
    /// Does what was asked; what goes wrong is told on standard error.
    pub(crate) fn run(self) -> ExitCode {
        let file = self.config.as_deref();
        let done = match self.command {
            Command::Serve(flags) => serve::run(file, *flags),
            Command::Config(command) => config::run(file, command),
            Command::User(command) => user::run(file, command),
            Command::Federation(command) => federation::run(file, command),
            Command::Routes => routes::run(),
            Command::Version => version::run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tell(&failure);
                ExitCode::FAILURE
            }
        }
    }
}

/// Why a command failed, in words for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure that is told in these words.
    pub(crate) fn new(message: impl Display) -> Self {
        Self(message.to_string())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Errors tell what failed and then, cause by cause, why.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self(message)
    }
}

/// Writes to standard output; that nobody reads it (`| head`) is no failure.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn tell(failure: &Failure) {
    let _ = writeln!(std::io::stderr(), "{failure}");
}
