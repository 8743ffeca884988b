//! The configuration: one TOML file, the environment over it, flags over both.
//!
//! Values are checked once, here; what travels on is typed. Only this crate knows the file: every
//! other crate gets the small struct that it needs, from `app.rs`.

mod compatibility;
mod database;
mod discovery;
mod email;
mod example;
mod federation;
mod identity;
mod limits;
mod listeners;
mod log;
mod metrics;
mod policy_lists;
mod presence;
mod problem;
mod profiles;
mod raw;
mod registration;
mod retention;
mod section;
mod server;
mod server_notices;
mod source;
mod suggest;
mod value;
mod voip;

use std::path::Path;

pub(crate) use self::compatibility::Compatibility;
pub(crate) use self::database::{Database, DatabaseUrl};
pub(crate) use self::discovery::Discovery;
pub(crate) use self::email::{Email, MailSecurity, MailServer};
pub(crate) use self::federation::{Federation, ProxyUrl};
pub(crate) use self::identity::Identity;
pub(crate) use self::limits::{Limits, Rate};
pub(crate) use self::listeners::{ClientListener, FederationListener};
pub(crate) use self::log::{Log, LogFormat};
pub(crate) use self::metrics::Metrics;
pub(crate) use self::policy_lists::PolicyLists;
pub(crate) use self::presence::Presence;
pub(crate) use self::problem::{Problem, Problems};
pub(crate) use self::profiles::{ProfileField, Profiles};
pub(crate) use self::raw::Raw;
pub(crate) use self::registration::{Registration, RegistrationMode};
pub(crate) use self::retention::Retention;
use self::section::{Chapter, Key};
pub(crate) use self::server::Server;
pub(crate) use self::server_notices::ServerNotices;
use self::source::Source;
pub(crate) use self::source::{ENVIRONMENT_FILE, FlagValue};
pub(crate) use self::value::ServerGlob;
pub(crate) use self::voip::Voip;

/// All settings, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) database: Database,
    pub(crate) client: ClientListener,
    pub(crate) federation_listener: FederationListener,
    pub(crate) discovery: Discovery,
    pub(crate) registration: Registration,
    pub(crate) limits: Limits,
    pub(crate) federation: Federation,
    pub(crate) identity: Identity,
    pub(crate) profiles: Profiles,
    pub(crate) presence: Presence,
    pub(crate) policy_lists: PolicyLists,
    pub(crate) retention: Retention,
    pub(crate) server_notices: ServerNotices,
    pub(crate) voip: Voip,
    pub(crate) email: Email,
    pub(crate) compatibility: Compatibility,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
}

impl Config {
    /// The configuration from the file at `path` (if there is one), the environment and flags.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once: unknown keys, bad values, values that do not go
    /// together, a file that cannot be read.
    pub(crate) fn load(path: Option<&Path>, flags: Vec<FlagValue>) -> Result<Self, Problems> {
        let text = path.map(read_file).transpose()?;
        let file = path.zip(text.as_deref());
        Self::from_layers(file, text_variables(), flags)
    }

    /// The configuration from its layers, without looking at the world.
    fn from_layers(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Vec<FlagValue>,
    ) -> Result<Self, Problems> {
        let mut source = Source::new(&keys(), file, environment, flags);
        let config = Self {
            server: Server::read(&mut source),
            database: Database::read(&mut source),
            client: ClientListener::read(&mut source),
            federation_listener: FederationListener::read(&mut source),
            discovery: Discovery::read(&mut source),
            registration: Registration::read(&mut source),
            limits: Limits::read(&mut source),
            federation: Federation::read(&mut source),
            identity: Identity::read(&mut source),
            profiles: Profiles::read(&mut source),
            presence: Presence::read(&mut source),
            policy_lists: PolicyLists::read(&mut source),
            retention: Retention::read(&mut source),
            server_notices: ServerNotices::read(&mut source),
            voip: Voip::read(&mut source),
            email: Email::read(&mut source),
            compatibility: Compatibility::read(&mut source),
            log: Log::read(&mut source),
            metrics: Metrics::read(&mut source),
        };
        listeners::check(&config, &mut source);
        voip::check(&config.voip, &mut source);
        retention::check(&config.retention, &mut source);
        email::check(&config.email, &mut source);
        let problems = source.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }

    /// The database that is used: the one that is named, or else a file in the data directory.
    pub(crate) fn database_url(&self) -> DatabaseUrl {
        match &self.database.url {
            Some(url) => url.clone(),
            None => DatabaseUrl::sqlite(&self.server.data_dir.join("rookery.db")),
        }
    }
}

/// The example file: every key, its manual and its default.
pub(crate) fn example() -> String {
    example::text(&chapters())
}

fn chapters() -> Vec<Chapter> {
    vec![
        Server::chapter(),
        Database::chapter(),
        ClientListener::chapter(),
        FederationListener::chapter(),
        Discovery::chapter(),
        Registration::chapter(),
        Limits::chapter(),
        Federation::chapter(),
        Identity::chapter(),
        Profiles::chapter(),
        Presence::chapter(),
        PolicyLists::chapter(),
        Retention::chapter(),
        ServerNotices::chapter(),
        Voip::chapter(),
        Email::chapter(),
        Compatibility::chapter(),
        Log::chapter(),
        Metrics::chapter(),
    ]
}

fn keys() -> Vec<Key> {
    chapters()
        .into_iter()
        .flat_map(|chapter| chapter.keys)
        .collect()
}

fn read_file(path: &Path) -> Result<String, Problems> {
    std::fs::read_to_string(path).map_err(|error| {
        Problems(vec![Problem::of(
            "",
            format!("cannot read {}: {error}", path.display()),
        )])
    })
}

/// The environment, as far as it is text. A variable of ours that is not is no value of any key,
/// and is read as the text that comes nearest.
fn text_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        Some((
            name.into_string().ok()?,
            value.to_string_lossy().into_owned(),
        ))
    })
}

#[cfg(test)]
mod tests;
