//! The flags that say which server is meant: for every command that touches its data.

use clap::Args;

use crate::config::{FlagValue, Raw};

/// Which server: its name and where its data is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The server's name, the part after the colon in @alice:example.org.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,

    /// The directory for everything that is kept in files.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,

    /// The database: sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl Place {
    /// The settings that were given.
    pub(crate) fn values(self) -> Vec<FlagValue> {
        [
            text("server.name", "--server-name", self.server_name),
            text("server.data_dir", "--data-dir", self.data_dir),
            text("database.url", "--database", self.database),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A flag with one value.
pub(crate) fn text(
    key: &'static str,
    flag: &'static str,
    value: Option<String>,
) -> Option<FlagValue> {
    value.map(|value| (key, flag, Raw::Untyped(value)))
}

/// A flag that may be given several times.
pub(crate) fn list(
    key: &'static str,
    flag: &'static str,
    values: Vec<String>,
) -> Option<FlagValue> {
    let items: Vec<Raw> = values.into_iter().map(Raw::Untyped).collect();
    (!items.is_empty()).then_some((key, flag, Raw::List(items)))
}
