//! Which database a server under test gets, and a look into it from outside.

use std::path::Path;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

/// A database of one test's own.
#[derive(Clone, Debug)]
pub enum TestDatabase {
    /// A file in the data directory of the server.
    Sqlite,
    /// A database made for the test on the server that `TEST_POSTGRES_URL` names; dropped after it.
    Postgres { server: String, name: String },
}

impl TestDatabase {
    /// SQLite, or PostgreSQL where `TEST_DATABASE=postgres`.
    ///
    /// # Panics
    /// If PostgreSQL is asked for and `TEST_POSTGRES_URL` is missing.
    pub async fn of_environment() -> Self {
        match std::env::var("TEST_DATABASE").as_deref() {
            Ok("postgres") => Self::postgres()
                .await
                .expect("TEST_POSTGRES_URL names a PostgreSQL server"),
            _ => Self::Sqlite,
        }
    }

    /// A new database on the PostgreSQL server of the tests; `None` where there is no such server.
    pub async fn postgres() -> Option<Self> {
        let server = std::env::var("TEST_POSTGRES_URL").ok()?;
        let name = format!(
            "rookery_it_{}_{:08x}",
            std::process::id(),
            rand::random::<u32>()
        );
        run(
            &server,
            &format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"),
        )
        .await;
        Some(Self::Postgres { server, name })
    }

    /// The URL for the server under test; `None` where it is to take its own default.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres { server, name } => Some(with_database(server, name)),
        }
    }

    /// Opens it for a look, while no server runs on it.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn open(&self, data: &Path) -> DatabaseConnection {
        let url = self
            .url()
            .unwrap_or_else(|| format!("sqlite://{}", sqlite_file(data).display()));
        Database::connect(&url)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// Removes it. Nothing to do for SQLite, which goes with its directory.
    pub async fn drop_now(&self) {
        if let Self::Postgres { server, name } = self {
            run(
                server,
                &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            )
            .await;
        }
    }
}

/// The one number that a query gives.
///
/// # Panics
/// If the query fails or gives no integer.
pub async fn number(db: &DatabaseConnection, query: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), query);
    let row = db
        .query_one_raw(statement)
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let row = row.unwrap_or_else(|| panic!("{query}: no row"));
    row.try_get_by_index(0)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The database file in a data directory.
fn sqlite_file(data: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(data).expect("the data directory is readable");
    entries
        .map(|entry| entry.expect("the data directory is readable").path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "db" || extension == "sqlite")
        })
        .unwrap_or_else(|| panic!("no database file in {}", data.display()))
}

/// One statement on the server's own database.
async fn run(server: &str, statement: &str) {
    let db = Database::connect(server)
        .await
        .unwrap_or_else(|error| panic!("TEST_POSTGRES_URL: {error}"));
    db.execute_unprepared(statement)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    db.close().await.expect("the connection closes");
}

/// The URL of a server with another database in it.
fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server
        .split_once('?')
        .map_or((server, None), |(a, q)| (a, Some(q)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..]
        .find('/')
        .map_or(address.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_on_the_same_server() {
        for (server, expected) in [
            ("postgres://u:p@h:5432/postgres", "postgres://u:p@h:5432/x"),
            ("postgres://h", "postgres://h/x"),
            (
                "postgres://h/postgres?sslmode=disable",
                "postgres://h/x?sslmode=disable",
            ),
        ] {
            assert_eq!(with_database(server, "x"), expected);
        }
    }
}
