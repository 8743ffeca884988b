//! `homeserver federation …`: other servers, as this one would meet them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use engine::chance::Chance;
use federation::Step;
use federation::check::{CheckError, Checker, Finding};
use ruma::OwnedServerName;
use tokio::runtime::Runtime;

use super::place::{Place, list};
use super::{Failure, say};
use crate::app;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find another server as federation does, step by step, and ask whether it answers.
    Check(Check),
    /// Give this server a new signing key, while it is stopped. What the old one signed stays valid.
    RotateKey(RotateKey),
}

#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The server's name: the part after the colon in @alice:example.org.
    name: OwnedServerName,

    /// A certificate authority to trust besides the usual ones (PEM). May be repeated.
    #[arg(long, value_name = "PEM")]
    trusted_ca: Vec<String>,

    /// A private network that may be connected to. May be repeated.
    #[arg(long, value_name = "CIDR")]
    allow_address: Vec<String>,

    #[command(flatten)]
    place: Place,
}

/// Does what was asked.
///
/// # Errors
/// The configuration is wrong, the other server cannot be talked to, or the data cannot be opened.
pub(crate) fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(asked) => check(file, asked),
        Command::RotateKey(asked) => rotate_key(file, asked),
    }
}

fn rotate_key(file: Option<&Path>, asked: RotateKey) -> Result<(), Failure> {
    let config = Config::load(file, asked.place.values())?;
    let rotated = Runtime::new()?.block_on(app::rotate_key(&config))?;
    let name = &config.server.name;
    say(format_args!(
        "{name} signs with {} from its next start on.",
        rotated.current
    ));
    for retired in rotated.retired {
        say(format_args!(
            "{retired} signs no more; it is published as an old key."
        ));
    }
    Ok(())
}

/// It needs no running server and touches no data.
fn check(file: Option<&Path>, check: Check) -> Result<(), Failure> {
    let mut values = check.place.values();
    // Which server asks makes no difference, so nobody has to say it.
    if values.iter().all(|(key, ..)| *key != "server.name") && file.is_none() {
        values.push(("server.name", "--server-name", "localhost".into()));
    }
    let lists = [
        list("federation.trusted_ca", "--trusted-ca", check.trusted_ca),
        list(
            "federation.allow_addresses",
            "--allow-address",
            check.allow_address,
        ),
    ];
    values.extend(lists.into_iter().flatten());
    let config = Config::load(file, values)?;
    let settings = app::federation_settings(&config)?;
    let chance = Arc::new(Chance::from_system());
    let checker = Checker::new(&settings, Arc::new(SystemClock::new()), chance)?;
    say(format_args!("{}", check.name));
    let checking = checker.check(&check.name, |finding| tell(&finding));
    match Runtime::new()?.block_on(checking) {
        Ok(()) => {
            say("\nAll is well: this server can talk to it.");
            Ok(())
        }
        Err(CheckError::Unreachable(why)) => {
            line("connection", format_args!("✗ {why}"));
            Err(Failure::new(format_args!(
                "\n{} cannot be reached.",
                check.name
            )))
        }
        Err(error) => Err(Failure::new(format_args!("\n{}: {error}.", check.name))),
    }
}

fn tell(finding: &Finding) {
    match finding {
        Finding::Step(Step::WellKnown { host, answer }) => {
            let place = format!("https://{host}/.well-known/matrix/server");
            match answer {
                Ok(server) => line("well-known", format_args!("✓ {place} names {server}")),
                Err(why) => line("well-known", format_args!("- {place}: {why}")),
            }
        }
        Finding::Step(Step::Services { name, answer }) => match answer {
            Ok(records) if records.is_empty() => line("SRV", format_args!("- {name}: none")),
            Ok(records) => {
                for record in records {
                    let (target, port) = (record.target.trim_end_matches('.'), record.port);
                    let (priority, weight) = (record.priority, record.weight);
                    let order = format_args!("priority {priority}, weight {weight}");
                    line("SRV", format_args!("✓ {name}: {target}:{port} ({order})"));
                }
            }
            Err(why) => line("SRV", format_args!("- {name}: {why}")),
        },
        Finding::Found(target) => {
            let places: Vec<String> = target.places.iter().map(ToString::to_string).collect();
            let (rule, places) = (target.rule.number(), places.join(", then "));
            line(
                "found",
                format_args!("✓ at {places} (step {rule} of the specification)"),
            );
            line(
                "expected",
                format_args!(
                    "  a certificate for {}, asked with Host: {}",
                    target.certificate, target.authority
                ),
            );
        }
        Finding::Connected(connected) => {
            line(
                "connection",
                format_args!("✓ {}, and the certificate is good", connected.way),
            );
        }
        Finding::Version(Ok(software)) => line("version", format_args!("✓ {software}")),
        Finding::Version(Err(why)) => line("version", format_args!("✗ {why}")),
        Finding::Keys(Ok(keys)) => {
            let millis = u64::try_from(keys.valid_for_ms).unwrap_or(0);
            let mark = if millis > 0 { '✓' } else { '✗' };
            let current = keys.current.join(", ");
            let (old, valid) = (keys.old, whole(Duration::from_millis(millis)));
            line(
                "keys",
                format_args!("{mark} {current}, valid for {valid}; {old} of former times"),
            );
        }
        Finding::Keys(Err(why)) => line("keys", format_args!("✗ {why}")),
    }
}

fn line(subject: &str, text: std::fmt::Arguments<'_>) {
    say(format_args!("  {subject:<12}{text}"));
}

/// A time as people say it.
fn whole(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
