//! Unmodified Matrix clients, as people install them, chat through the server.
//!
//! Each story is a program of its own in `tests/clients/`, in the language of its library: two
//! people register, meet in a room, talk, and part. It says step by step what passed.

use std::path::Path;

use tests::TestServer;
use tests::database::TestDatabase;
use tests::server::Settings;
use tokio::process::Command;

/// Over each way to sync.
#[tokio::test]
async fn two_people_chat_with_matrix_js_sdk() {
    for transport in ["long-poll", "socket", "events", "sliding"] {
        chat("js", &[transport]).await;
    }
}

#[tokio::test]
async fn two_people_chat_with_matrix_nio() {
    chat("python", &[]).await;
}

#[tokio::test]
async fn two_people_chat_with_matrix_rust_sdk() {
    chat("rust", &[]).await;
}

/// Lets the story in `tests/clients/<language>` happen on a server of its own, with SQLite and,
/// where there is one for the tests, with PostgreSQL.
async fn chat(language: &str, arguments: &[&str]) {
    tell(language, arguments, &TestServer::start().await).await;
    if let Some(database) = TestDatabase::postgres().await
        && let Some(server) = TestServer::start_with(Settings::open().await.on(database)).await
    {
        tell(language, arguments, &server).await;
    }
}

/// Runs the program of the story.
async fn tell(language: &str, arguments: &[&str], server: &TestServer) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(language);
    let script = folder.join("run.sh");
    let told = Command::new(&script)
        .arg(server.connection().base())
        .args(arguments)
        // The story that cargo builds has a target directory of its own, whatever the server's is.
        .env_remove("CARGO_TARGET_DIR")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let story = String::from_utf8_lossy(&told.stdout);
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(
        told.status.success(),
        "{}: {}\n{story}\n{errors}",
        script.display(),
        told.status
    );
    // Its last line is its summary.
    eprintln!("{}", story.lines().last().unwrap_or_default());
}
