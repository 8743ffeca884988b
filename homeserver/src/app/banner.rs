//! What a person at the terminal reads once the server is up.

use std::io::{IsTerminal, Write, stderr};
use std::net::SocketAddr;

use crate::config::{Config, LogFormat, RegistrationMode};

/// Prints what to do next, if a person may be reading: text logs on standard error.
pub(super) fn print(config: &Config, addresses: &[SocketAddr]) {
    if config.log.format != LogFormat::Text {
        return;
    }
    let Some(address) = addresses.first() else {
        return;
    };
    let scheme = if config.client.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}", reachable(*address));
    let text = text(config, &url, stderr().is_terminal());
    // Nobody reads it if this fails, and nothing depends on it.
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// An address that listens everywhere is shown as the one that a browser here can open.
fn reachable(address: SocketAddr) -> String {
    match (
        address.ip().is_unspecified() || address.ip().is_loopback(),
        address.port(),
    ) {
        (true, port) => format!("localhost:{port}"),
        (false, _) => address.to_string(),
    }
}

fn text(config: &Config, url: &str, colours: bool) -> String {
    let (bold, plain) = if colours {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    let name = &config.server.name;
    let account = match config.registration.mode {
        RegistrationMode::Open => "choose \"Create account\"; the first one administers the server",
        RegistrationMode::Token => "with a registration token, or: homeserver user create NAME",
        RegistrationMode::Closed => "registration is closed; use: homeserver user create NAME",
    };
    format!(
        "\n  {bold}Rookery is running: {name}{plain}\n\n  \
         Look        {bold}{url}{plain}\n  \
         Connect     any Matrix client, with the homeserver {bold}{url}{plain}\n  \
         Accounts    {account}\n  \
         Data        {data} ({database})\n  \
         Stop        Ctrl-C\n\n",
        data = config.server.data_dir.display(),
        database = config.database_url(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_address_is_one_that_can_be_opened() {
        for (address, shown) in [
            ("127.0.0.1:8008", "localhost:8008"),
            ("[::]:8008", "localhost:8008"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()), shown);
        }
    }
}
