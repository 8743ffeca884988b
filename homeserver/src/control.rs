//! What an operator orders from the command line: accounts and registration tokens.
//!
//! The server holds its data for itself, so while it runs the orders go to it, through a socket in
//! the data directory that only the owner of the directory can open. While it does not run, the
//! command opens the data itself. Either way [`carry_out`] does the work.

pub(crate) mod socket;

use engine::account::{Accounts, NewAccount, NewRegistrationToken, Secret};
use serde::{Deserialize, Serialize};

use crate::cli::Failure;

/// One order. It has no `Debug`, since it may hold a password.
#[derive(Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(crate) enum Order {
    CreateUser {
        name: String,
        password: String,
        admin: bool,
    },
    SetPassword {
        name: String,
        password: String,
    },
    SetAdmin {
        name: String,
        admin: bool,
    },
    /// An e-mail address is the user's from now on, or no longer.
    SetEmail {
        name: String,
        address: String,
        remove: bool,
    },
    /// A registration token; without `uses` it can be used any number of times.
    CreateToken {
        uses: Option<u32>,
    },
}

/// What came of an order, in words for the operator.
pub(crate) type Outcome = Result<String, String>;

/// Does what was ordered; it is on disk when this returns.
pub(crate) async fn carry_out(accounts: &Accounts, order: Order) -> Outcome {
    let done = match order {
        Order::CreateUser {
            name,
            password,
            admin,
        } => {
            let password = Some(Secret::from(password));
            accounts
                .create(NewAccount {
                    localpart: name,
                    password,
                    admin,
                })
                .await
                .map(|user| {
                    let kind = if admin { "administrator" } else { "user" };
                    format!("Created the {kind} {user}.")
                })
        }
        Order::SetPassword { name, password } => set_password(accounts, &name, password).await,
        Order::SetAdmin { name, admin } => set_admin(accounts, &name, admin).await,
        Order::SetEmail {
            name,
            address,
            remove,
        } => set_email(accounts, &name, &address, remove).await,
        Order::CreateToken { uses } => {
            let uses_allowed = uses.map(i64::from);
            let new = NewRegistrationToken {
                uses_allowed,
                ..NewRegistrationToken::default()
            };
            accounts.create_registration_token(new).await
        }
    };
    done.map_err(|error| Failure::from(error).to_string())
}

async fn set_password(accounts: &Accounts, name: &str, password: String) -> engine::Result<String> {
    let user = accounts.find(name).await?;
    accounts.set_password(&user, Secret::from(password)).await?;
    Ok(format!(
        "{user} has a new password and is signed out everywhere."
    ))
}

async fn set_email(
    accounts: &Accounts,
    name: &str,
    address: &str,
    remove: bool,
) -> engine::Result<String> {
    let user = accounts.find(name).await?;
    if remove {
        accounts.remove_email(&user, address).await?;
        return Ok(format!("{user} has the address {address} no more."));
    }
    let address = accounts.add_email(&user, address).await?;
    Ok(format!("{user} has the address {address}."))
}

async fn set_admin(accounts: &Accounts, name: &str, admin: bool) -> engine::Result<String> {
    let user = accounts.find(name).await?;
    accounts.set_admin(&user, admin).await?;
    let now = if admin {
        "is an administrator now"
    } else {
        "is no administrator any more"
    };
    Ok(format!("{user} {now}."))
}
