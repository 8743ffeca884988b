//! `homeserver user …`: accounts, from the command line, whether the server runs or not.

use std::io::{IsTerminal, stdin};
use std::path::Path;

use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::place::Place;
use super::{Failure, say};
use crate::app;
use crate::config::Config;
use crate::control::{self, Order, socket};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account.
    Create(Create),
    /// Give an account a new password; it is signed out everywhere.
    Password(Password),
    /// Make an account an administrator's.
    Admin(Admin),
    /// Note an e-mail address as an account's.
    Email(Email),
    /// Make a registration token and print it.
    Token(Token),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The name before the colon.
    name: String,
    /// Make it an administrator's account.
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    secret: GivenPassword,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Password {
    /// The name before the colon, or the whole user ID.
    name: String,
    #[command(flatten)]
    secret: GivenPassword,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Admin {
    /// The name before the colon, or the whole user ID.
    name: String,
    /// Take the right away instead.
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Email {
    /// The name before the colon, or the whole user ID.
    name: String,
    /// The address. Be sure that it is theirs.
    address: String,
    /// Take the address away instead.
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// How many accounts can be made with it; any number if left out.
    #[arg(long, value_name = "COUNT")]
    uses: Option<u32>,
    #[command(flatten)]
    place: Place,
}

/// How a password is given.
#[derive(Args)]
pub(crate) struct GivenPassword {
    /// The password. Others on this machine can see it while the command runs; left out, it is
    /// asked for, or read from standard input.
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

impl std::fmt::Debug for GivenPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GivenPassword(…)")
    }
}

impl GivenPassword {
    fn get(self) -> Result<String, Failure> {
        if let Some(password) = self.password {
            return Ok(password);
        }
        if !stdin().is_terminal() {
            let mut line = String::new();
            stdin().read_line(&mut line)?;
            return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
        }
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != password {
            return Err(Failure::new(
                "These were two different passwords; nothing was changed.",
            ));
        }
        Ok(password)
    }
}

/// Carries the order out: by the running server, or on its data if it does not run.
///
/// # Errors
/// The configuration is wrong, the data cannot be opened, or the order was refused.
pub(crate) fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    let (place, order) = match command {
        Command::Create(Create {
            name,
            admin,
            secret,
            place,
        }) => (
            place,
            Order::CreateUser {
                name,
                admin,
                password: secret.get()?,
            },
        ),
        Command::Password(Password {
            name,
            secret,
            place,
        }) => (
            place,
            Order::SetPassword {
                name,
                password: secret.get()?,
            },
        ),
        Command::Admin(Admin {
            name,
            revoke,
            place,
        }) => (
            place,
            Order::SetAdmin {
                name,
                admin: !revoke,
            },
        ),
        Command::Email(Email {
            name,
            address,
            remove,
            place,
        }) => (
            place,
            Order::SetEmail {
                name,
                address,
                remove,
            },
        ),
        Command::Token(Token { uses, place }) => (place, Order::CreateToken { uses }),
    };
    let config = Config::load(file, place.values())?;
    let outcome = Runtime::new()?.block_on(carry_out(&config, order))?;
    outcome.map(say).map_err(Failure::new)
}

async fn carry_out(config: &Config, order: Order) -> Result<control::Outcome, Failure> {
    let socket = socket::path(&config.server.data_dir);
    if let Some(outcome) = socket::order(&socket, &order).await? {
        return Ok(outcome);
    }
    let (store, accounts) = app::open_accounts(config).await?;
    let outcome = control::carry_out(&accounts, order).await;
    store.close().await;
    Ok(outcome)
}
