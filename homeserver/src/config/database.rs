//! Section `database`: where everything is kept.

use std::fmt;
use std::path::Path;

use super::raw::Raw;
use super::section::{Setting, section};
use super::value::Positive;

section! {
    /// Where everything is kept: an SQLite file (good for most), or PostgreSQL.
    "database" Database {
        /// The database. Left out, it is SQLite in the file rookery.db in server.data_dir.
        /// Also possible: "sqlite:/path/to/file.db".
        url: Option<DatabaseUrl>, example "postgres://rookery:password@localhost/rookery";

        /// How many connections read at the same time. Writing has one of its own besides.
        readers: Positive, default 4;
    }
}

/// A database, by URL. It may hold a password, so `Debug` and `Display` leave that out.
#[derive(Clone, PartialEq)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The SQLite database in the file at `path`.
    pub(crate) fn sqlite(path: &Path) -> Self {
        Self(format!("sqlite:{}", path.display()))
    }

    /// The URL as it is, password and all.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Setting for DatabaseUrl {
    const EXPECTED: &'static str =
        r#"a database like "sqlite:/path/to/file.db" or "postgres://user:password@host/database""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        let known = ["sqlite:", "postgres://", "postgresql://"];
        let begun = known.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        (!begun.trim_start_matches('/').is_empty()).then(|| Self(text.to_owned()))
    }

    fn shown(raw: &Raw) -> String {
        match raw.text() {
            Some(text) => format!("\"{}\"", without_password(text)),
            None => raw.to_string(),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// `postgres://user:secret@host/db` becomes `postgres://user:…@host/db`.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((login, place)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:…@{place}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_sqlite_or_postgres() {
        for (text, good) in [
            ("sqlite:data/rookery.db", true),
            ("sqlite:///var/lib/rookery.db", true),
            ("postgres://rookery@localhost/rookery", true),
            ("postgresql:///rookery", true),
            ("sqlite:", false),
            ("mysql://localhost/rookery", false),
            ("rookery.db", false),
        ] {
            assert_eq!(
                DatabaseUrl::read(&Raw::from(text)).is_some(),
                good,
                "{text}"
            );
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let url = DatabaseUrl("postgres://rookery:s3cr@t@host:5432/db".to_owned());
        assert_eq!(url.to_string(), "postgres://rookery:…@host:5432/db");
        assert!(!format!("{url:?}").contains("s3cr"));
        assert!(!DatabaseUrl::shown(&Raw::from("mysql://a:s3cret@b/c")).contains("s3cret"));
    }
}
