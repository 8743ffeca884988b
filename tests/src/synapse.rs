//! Synapse, as other people run it: installed from PyPI in `tests/synapse`, on loopback, with an SQLite file of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value, json};

use crate::{TestServer, federation::Neighbourhood};

/// Above all that a test does in a second: rates of Synapse's limits, in actions a second, and their bursts.
const NO_LIMIT: u32 = 1_000_000;

/// How long anything may take with Synapse in it before a test gives up. On a busy machine its start alone takes most
/// of a minute.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// A running Synapse; it ends with its data when dropped.
pub struct Synapse {
    process: Child,
    directory: PathBuf,
    /// Its server name: an address with a port.
    pub name: String,
    /// Where its users reach it.
    base: String,
}

impl Synapse {
    /// Installs it where it is missing. `None`, with a message, where Python cannot; on continuous integration
    /// (`CI=true`) that is a failure.
    ///
    /// # Panics
    /// On continuous integration, if it cannot be installed.
    #[must_use]
    pub fn installed() -> Option<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("synapse");
        let installed = Command::new(folder.join("install.sh")).output();
        let complaint = match installed {
            Ok(done) if done.status.success() => return Some(folder.join(".venv/bin/python")),
            Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!must, "Synapse cannot be installed:\n{complaint}");
        eprintln!("skipped: Synapse cannot be installed here:\n{complaint}");
        None
    }

    /// Starts it on this machine, with open registration, presence, and without limits.
    ///
    /// # Panics
    /// If it does not get ready.
    pub async fn start(python: &Path, machine: &Neighbourhood) -> Self {
        let directory =
            std::env::temp_dir().join(format!("rookery-synapse-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&directory).expect("a directory for Synapse");
        let (name, client) = (Neighbourhood::free_name(), Neighbourhood::free_name());
        let key = STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>());
        // JSON is YAML.
        for (file, content) in [
            ("log.yaml", logging().to_string()),
            ("signing.key", format!("ed25519 a_test {key}\n")),
            (
                "homeserver.yaml",
                settings(&name, &client, &directory, machine).to_string(),
            ),
        ] {
            fs::write(directory.join(file), content).expect("a file");
        }
        let log = File::create(directory.join("log")).expect("a log file");
        let process = Command::new(python)
            .args(["-m", "synapse.app.homeserver", "-c"])
            .arg(directory.join("homeserver.yaml"))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("Synapse starts");
        let mut synapse = Self {
            process,
            directory,
            name,
            base: format!("http://{client}"),
        };
        synapse.gets_ready().await;
        synapse
    }

    async fn gets_ready(&mut self) {
        let (server, since) = (self.server(), Instant::now());
        loop {
            let versions = server.get("/_matrix/client/versions").attempt().await;
            if versions.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            let ended = self.process.try_wait().expect("the process is ours");
            assert!(ended.is_none(), "Synapse ended: {ended:?}\n{}", self.log());
            assert!(since.elapsed() < PATIENCE, "not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// It, as its users see it. Its connections belong to the runtime of the test that asks.
    #[must_use]
    pub fn server(&self) -> TestServer {
        TestServer::at(&self.base)
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Synapse {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
        match std::env::var_os("TEST_KEEP_LOGS") {
            Some(_) => eprintln!("Synapse's log: {}", self.directory.display()),
            None => drop(fs::remove_dir_all(&self.directory)),
        }
    }
}

/// `homeserver.yaml`.
fn settings(name: &str, client: &str, directory: &Path, machine: &Neighbourhood) -> Value {
    let file = |name: &str| directory.join(name).display().to_string();
    let port = |address: &str| -> u16 {
        let port = address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        port.expect("an address with a port")
    };
    let free = json!({"per_second": NO_LIMIT, "burst_count": NO_LIMIT});
    let listener = |address, tls, resource| {
        json!({
            "port": port(address), "type": "http", "tls": tls, "bind_addresses": ["127.0.0.1"],
            "resources": [{"names": [resource]}],
        })
    };
    json!({
        "server_name": name,
        "pid_file": file("pid"),
        "listeners": [listener(name, true, "federation"), listener(client, false, "client")],
        "tls_certificate_path": machine.file("cert.pem"),
        "tls_private_key_path": machine.file("key.pem"),
        "federation_custom_ca_list": [machine.file("cert.pem")],
        "ip_range_blacklist": [],
        "federation_ip_range_blacklist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "database": {"name": "sqlite3", "args": {"database": file("synapse.db")}},
        "log_config": file("log.yaml"),
        "signing_key_path": file("signing.key"),
        "media_store_path": file("media"),
        "macaroon_secret_key": "secret", "form_secret": "secret", "report_stats": false,
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "bcrypt_rounds": 4,
        "presence": {"enabled": true},
        "allow_public_rooms_over_federation": true,
        "room_list_publication_rules": [{"action": "allow"}],
        // A server that was down for a moment is asked again soon.
        "federation": {"destination_min_retry_interval": "1s", "destination_max_retry_interval": "1s"},
        "rc_message": free, "rc_registration": free, "rc_admin_redaction": free, "rc_joins_per_room": free,
        "rc_login": {"address": free, "account": free, "failed_attempts": free},
        "rc_joins": {"local": free, "remote": free},
        "rc_invites": {"per_room": free, "per_user": free, "per_issuer": free},
        "rc_presence": {"per_user": free}, "rc_room_creation": free, "rc_third_party_invite": free,
        "rc_federation": {
            "window_size": 1000, "sleep_limit": NO_LIMIT, "sleep_delay": 0, "reject_limit": NO_LIMIT,
            "concurrent": 100,
        },
    })
}

/// `log.yaml`: all but the debug lines, to where the process writes.
fn logging() -> Value {
    json!({
        "version": 1,
        "formatters": {"precise": {
            "format": "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s",
        }},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "precise"}},
        "root": {"level": "INFO", "handlers": ["console"]},
        "disable_existing_loggers": false,
    })
}
