//! What those meet who run a server: starting, stopping, the command line, listeners, pages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tests::{
    TestServer,
    eventually::eventually,
    server::{SERVER_NAME, Settings, binary},
};

/// Flags that name the data of a running server.
fn place(server: &TestServer) -> Vec<String> {
    let (database, directory) = server.data();
    let mut flags = vec![
        "--server-name".to_owned(),
        SERVER_NAME.to_owned(),
        "--data-dir".to_owned(),
        directory.display().to_string(),
    ];
    if let Some(url) = database.url() {
        flags.extend(["--database".to_owned(), url]);
    }
    flags
}

/// Runs the binary to its end.
fn homeserver<S: AsRef<std::ffi::OsStr>>(
    arguments: &[&str],
    more: impl IntoIterator<Item = S>,
) -> Output {
    Command::new(binary())
        .args(arguments)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .expect("the homeserver starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_and_does_no_harm() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let second = homeserver(&["serve", "--listen", "127.0.0.1:0"], place(&server));
    assert!(!second.status.success());
    let said = text(&second.stderr);
    assert!(said.contains("another process is using"), "{said}");
    server.user("alice").await;
}

#[tokio::test]
async fn it_stops_in_time_while_clients_wait_and_answers_them() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    let [alice] = server.users(["alice"]).await;
    let since = alice.syncs().await.next_batch();
    let waiting = {
        let (alice, since) = (alice.clone(), since.clone());
        tokio::spawn(async move { alice.syncs().since(&since).timeout(60_000).await })
    };
    // The request is on its way; that it has arrived shows only in what comes of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let took = server.stop().await;
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    let answered = waiting
        .await
        .expect("the waiting sync is answered, not cut off");
    assert_eq!(answered.next_batch(), since, "nothing had changed");
    server.restart().await;
    alice.syncs().since(&since).await;
}

#[tokio::test]
async fn the_command_line_makes_accounts_whether_the_server_runs_or_not() {
    let closed = Settings::with(["--no-rate-limits"]).await;
    let Some(mut server) = TestServer::start_with(closed).await else {
        return;
    };
    let refused = json!({"username": "eve", "password": "a long password", "auth": {"type": "m.login.dummy"}});
    server
        .post("/_matrix/client/v3/register", &refused)
        .await
        .refused(403, "M_FORBIDDEN");

    let create = [
        "user",
        "create",
        "Alice",
        "--admin",
        "--password",
        "the first password",
    ];
    let made = homeserver(&create, place(&server));
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(
        text(&made.stdout).trim(),
        "Created the administrator @alice:localhost."
    );
    log_in(&server, "the first password")
        .await
        .expect("by the running server");

    let again = homeserver(&create, place(&server));
    assert!(!again.status.success(), "a name is given once");

    server.stop().await;
    let password = [
        "user",
        "password",
        "@alice:localhost",
        "--password",
        "the second password",
    ];
    let changed = homeserver(&password, place(&server));
    assert!(changed.status.success(), "{}", text(&changed.stderr));
    server.restart().await;
    assert_eq!(
        log_in(&server, "the first password").await,
        None,
        "the old password is gone"
    );
    log_in(&server, "the second password")
        .await
        .expect("on the data of a stopped server");
}

/// The access token, if the password is the right one.
async fn log_in(server: &TestServer, password: &str) -> Option<String> {
    let body = json!({
        "type": "m.login.password", "password": password,
        "identifier": {"type": "m.id.user", "user": "alice"},
    });
    let answer = server.post("/_matrix/client/v3/login", &body).await;
    answer.json()["access_token"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn data_is_never_used_under_another_name() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    server.stop().await;
    let mut flags = place(&server);
    flags[1] = "other.example".to_owned();
    let refused = homeserver(&["serve", "--listen", "127.0.0.1:0"], flags);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(said.contains("belongs to the server localhost"), "{said}");
}

#[test]
fn what_is_wrong_with_the_settings_is_said_with_its_cure() {
    let file = std::env::temp_dir().join(format!("rookery-it-{}.toml", std::process::id()));
    fs::write(
        &file,
        "[server]\nname = \"localhost\"\n\n[limits]\nmax_bdy = \"1 MiB\"\n",
    )
    .expect("a file");
    let flags = ["--config".to_owned(), file.display().to_string()];
    for command in [["config", "check"], ["serve", "--no-rate-limits"]] {
        let refused = homeserver(&command, &flags);
        assert!(!refused.status.success(), "{command:?}");
        let said = text(&refused.stderr);
        let line = "config: limits.max_bdy: there is no such key; did you mean limits.max_body?";
        assert!(said.contains(line) && said.contains("line 5"), "{said}");
    }
    let example = homeserver::<&str>(&["config", "example"], []);
    fs::write(&file, example.stdout).expect("a file");
    let good = homeserver(&["config", "check"], &flags);
    assert!(
        good.status.success(),
        "the example is a good file: {}",
        text(&good.stderr)
    );
    fs::remove_file(&file).expect("the file is ours");
}

#[tokio::test]
async fn the_pages_say_what_they_should() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let base = server.connection().base();
    let client = server.get("/.well-known/matrix/client").await;
    assert_eq!(client.json(), json!({"m.homeserver": {"base_url": base}}));
    let federation = server.get("/.well-known/matrix/server").await;
    assert_eq!(federation.json(), json!({"m.server": "localhost:443"}));
    assert_eq!(server.get("/health").await.json(), json!({"status": "ok"}));
    // Counted by endpoint, never by path: no identifiers in what others may read.
    server
        .get("/_matrix/client/v3/profile/@nobody:localhost")
        .await
        .refused(404, "M_NOT_FOUND");
    let metrics = text(&server.get("/metrics").await.bytes);
    assert!(
        metrics.contains("endpoint=\"/_matrix/client/v3/profile/{"),
        "{metrics}"
    );
    assert!(!metrics.contains("nobody"), "{metrics}");
}

/// A server with a TLS listener for other servers, and a directory; both end with it.
struct TlsServer {
    process: Child,
    directory: PathBuf,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn other_servers_are_answered_over_tls() {
    let Some(_) = TestServer::start_own().await else {
        return;
    };
    let directory = std::env::temp_dir().join(format!("rookery-tls-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let file = |name: &str, content: &str| -> String {
        let path = directory.join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let cert_file = file("cert.pem", &cert.pem());
    let key_file = file("key.pem", &signing_key.serialize_pem());
    let ready = directory.join("ready.json");
    let process = Command::new(binary())
        .args([
            "serve",
            "--server-name",
            SERVER_NAME,
            "--listen",
            "127.0.0.1:0",
        ])
        .args([
            "--listen-federation",
            "127.0.0.1:0",
            "--tls-cert",
            &cert_file,
            "--tls-key",
            &key_file,
        ])
        .args(["--trusted-ca", &cert_file, "--allow-address", "127.0.0.0/8"])
        .arg("--data-dir")
        .arg(directory.join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null())
        .spawn()
        .expect("the homeserver starts");
    let _server = TlsServer {
        process,
        directory: directory.clone(),
    };
    let addresses = eventually("the ready file", async || read_json(&ready)).await;
    let port = addresses["federation"][0]
        .as_str()
        .and_then(|address| address.rsplit(':').next());
    let base = format!("https://localhost:{}", port.expect("a federation listener"));

    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(cert.pem().as_bytes()).expect("PEM")])
        .build()
        .expect("a client");
    let get = async |path: &str| {
        http.get(format!("{base}{path}"))
            .send()
            .await
            .expect("an answer")
    };
    let keys: Value = get("/_matrix/key/v2/server")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(keys["server_name"], SERVER_NAME);
    assert_eq!(get("/_matrix/federation/v1/version").await.status(), 200);
    let client_api = get("/_matrix/client/versions").await;
    assert_eq!(
        client_api.status(),
        404,
        "clients have a listener of their own"
    );
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
