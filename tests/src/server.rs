//! A homeserver to test: the built binary with a data directory and database of its own, or any Matrix server that
//! `TEST_SERVER_URL` names.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Call, User, api::Coverage, database::TestDatabase, eventually::PATIENCE};

/// The server name of the servers that the tests start.
pub const SERVER_NAME: &str = "localhost";
/// Their secret for registration by `/_synapse/admin/v1/register`.
pub const SHARED_SECRET: &str = "the secret of the tests";

/// Who sends their notices: the name before the colon.
pub const NOTICES_USER: &str = "notices";

/// Where requests go, and what has been asked so far.
pub struct Connection {
    base: RwLock<String>,
    /// Whether we started it.
    pub ours: bool,
    /// One pool of connections for all users of a server.
    pub http: reqwest::Client,
    /// Which operations were exercised.
    pub coverage: Coverage,
}

/// A running server; it ends with its data when dropped.
pub struct TestServer {
    connection: Arc<Connection>,
    own: Option<Own>,
}

/// A server process that we started.
struct Own {
    /// `None` while it is down.
    process: Option<Child>,
    directory: PathBuf,
    name: String,
    database: TestDatabase,
    flags: Vec<String>,
    binary: Option<PathBuf>,
}

/// How a server of one's own is started.
pub struct Settings {
    /// The server name.
    pub name: String,
    /// Flags of `serve` besides those that every test server gets.
    pub flags: Vec<String>,
    /// Where the data goes.
    pub database: TestDatabase,
    /// What is started, if it is not the binary under test.
    pub binary: Option<PathBuf>,
}

impl Connection {
    fn new(base: String, ours: bool) -> Arc<Self> {
        // Another test of the process may have been first; it is the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client");
        Arc::new(Self {
            base: RwLock::new(base),
            ours,
            http,
            coverage: Coverage::default(),
        })
    }

    /// The client of all requests, for those that read an answer in their own way.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// `http://host:port`, as it is now: it changes with a restart.
    #[must_use]
    pub fn base(&self) -> String {
        self.base
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl TestServer {
    /// A server with open registration and without rate limits.
    pub async fn start() -> Self {
        match std::env::var("TEST_SERVER_URL") {
            Ok(url) => Self::at(&url),
            Err(_) => Self::launch(Settings::open().await).await,
        }
    }

    /// The same, for tests of what only ours has; `None` where another server is under test.
    pub async fn start_own() -> Option<Self> {
        let server = Self::start().await;
        server.own.is_some().then_some(server)
    }

    /// A server with these settings; `None` where another server is under test.
    pub async fn start_with(settings: Settings) -> Option<Self> {
        match std::env::var_os("TEST_SERVER_URL") {
            Some(_) => None,
            None => Some(Self::launch(settings).await),
        }
    }

    /// The same with what a configuration file says. It cannot be started again.
    pub async fn start_configured(text: &str) -> Option<Self> {
        let name = format!("rookery-it-{:016x}.toml", rand::random::<u64>());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, text).expect("a file");
        let mut settings = Settings::open().await;
        let path = file.display().to_string();
        settings.flags.extend(["--config".to_owned(), path]);
        let server = Self::start_with(settings).await;
        // Nobody misses it if it stays.
        let _ = fs::remove_file(&file);
        server
    }

    /// Somebody else's server, which runs here already: of another make.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self {
            connection: Connection::new(url.trim_end_matches('/').to_owned(), false),
            own: None,
        }
    }

    async fn launch(settings: Settings) -> Self {
        let directory = std::env::temp_dir().join(format!(
            "rookery-it-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ));
        fs::create_dir_all(&directory).expect("a directory for the server");
        let Settings {
            name,
            flags,
            database,
            binary,
        } = settings;
        let mut own = Own {
            process: None,
            directory,
            name,
            database,
            flags,
            binary,
        };
        let base = own.launch().await;
        let open = own.flags.iter().any(|flag| flag == "--open-registration");
        let server = Self {
            connection: Connection::new(base, true),
            own: Some(own),
        };
        if open {
            // The first account administers the server, and may do what other people may not.
            server.user("admin").await;
        }
        server
    }

    /// Who administers a server of ours, in a new session.
    pub async fn admin(&self) -> User {
        let password = "admin's own password";
        let body = json!({
            "type": "m.login.password", "password": password, "identifier": {"type": "m.id.user", "user": "admin"},
        });
        let session = self.post("/_matrix/client/v3/login", &body).await.ok();
        User::new(&self.connection, &session, password.to_owned())
    }

    /// A request without a token.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call {
        Call::new(&self.connection, method, path)
    }

    /// `GET` without a token.
    pub fn get(&self, path: impl Into<String>) -> Call {
        self.call(Method::GET, path)
    }

    /// `POST` without a token.
    pub fn post(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// New users, registered and logged in.
    pub async fn users<const N: usize>(&self, names: [&str; N]) -> [User; N] {
        let users = futures_util::future::join_all(names.map(|name| self.user(name))).await;
        users.try_into().ok().expect("as many users as names")
    }

    /// One new user. On a server that is not ours the name gets a random end, as the plain one may be taken.
    pub async fn user(&self, name: &str) -> User {
        let name = self.fresh_name(name);
        let password = format!("{name}'s own password");
        let body = json!({
            "username": name, "password": password, "initial_device_display_name": format!("{name}'s phone"),
            "auth": {"type": "m.login.dummy"},
        });
        let session = self.post("/_matrix/client/v3/register", &body).await.ok();
        User::new(&self.connection, &session, password)
    }

    /// The body of a registration by the shared secret.
    pub async fn shared_secret_registration(&self, name: &str) -> Value {
        let nonce = self.get("/_synapse/admin/v1/register").await.ok()["nonce"].clone();
        let password = "a password of the tests";
        let nonce = nonce.as_str().expect("a nonce");
        let mac = sign([nonce, name, password, "notadmin"]);
        json!({"nonce": nonce, "username": name, "password": password, "admin": false, "mac": mac})
    }

    /// A name that nobody has on this server.
    #[must_use]
    pub fn fresh_name(&self, name: &str) -> String {
        match self.own {
            Some(_) => name.to_owned(),
            None => format!("{name}-{:08x}", rand::random::<u32>()),
        }
    }

    /// Whether it is ours: then what only ours promises holds too.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// What has been asked of it.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// SIGKILL, and wait until it is gone. Its data stays.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().expect("a server of our own");
        own.kill();
    }

    /// SIGTERM, and how long it then took to end.
    ///
    /// # Panics
    /// If it does not end, or not well.
    pub async fn stop(&mut self) -> Duration {
        let own = self.own.as_mut().expect("a server of our own");
        let mut process = own.process.take().expect("a running server");
        let since = Instant::now();
        let sent = Command::new("kill")
            .args(["-TERM", &process.id().to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "no SIGTERM was sent"
        );
        while since.elapsed() < PATIENCE {
            if let Some(status) = process.try_wait().expect("the process is ours") {
                assert!(status.success(), "it ended with {status}\n{}", own.log());
                return since.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        own.process = Some(process);
        panic!("it goes on after SIGTERM\n{}", own.log());
    }

    /// Starts it again on its data. The users go on with their tokens.
    pub async fn restart(&mut self) {
        let own = self.own.as_mut().expect("a server of our own");
        let base = own.launch().await;
        *self
            .connection
            .base
            .write()
            .unwrap_or_else(PoisonError::into_inner) = base;
    }

    /// Its name, which other servers ask for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.own.as_ref().map_or("", |own| &own.name)
    }

    /// Its database, and the directory of its data.
    #[must_use]
    pub fn data(&self) -> (&TestDatabase, PathBuf) {
        let own = self.own.as_ref().expect("a server of our own");
        (&own.database, own.directory.join("data"))
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.own.as_ref().map(Own::log).unwrap_or_default()
    }

    /// How much memory it has in use, in KiB.
    ///
    /// # Panics
    /// If it is down.
    #[must_use]
    pub fn memory_kib(&self) -> u64 {
        let pid = self.pid().expect("a running server");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok()).expect("its memory")
    }

    /// The process ID.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref()?.process.as_ref().map(Child::id)
    }
}

impl Settings {
    /// Open registration, a shared secret, no rate limits; the database of the environment.
    pub async fn open() -> Self {
        Self::with([
            "--open-registration",
            "--registration-shared-secret",
            SHARED_SECRET,
            "--no-rate-limits",
        ])
        .await
    }

    /// The same for another binary than the one under test.
    pub async fn open_of(binary: &Path) -> Self {
        Self {
            binary: Some(binary.to_owned()),
            ..Self::open().await
        }
    }

    /// These flags; the database of the environment.
    pub async fn with<const N: usize>(flags: [&str; N]) -> Self {
        Self {
            name: SERVER_NAME.to_owned(),
            flags: flags.map(str::to_owned).to_vec(),
            database: TestDatabase::of_environment().await,
            binary: None,
        }
    }

    /// On this database.
    #[must_use]
    pub fn on(mut self, database: TestDatabase) -> Self {
        self.database = database;
        self
    }
}

impl Own {
    /// Starts the process, and returns its base URL once it answers.
    async fn launch(&mut self) -> String {
        let ready = self.directory.join("ready.json");
        // Of an earlier start.
        let _ = fs::remove_file(&ready);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file");
        let mut command = Command::new(self.binary.clone().unwrap_or_else(binary));
        command
            .args([
                "serve",
                "--server-name",
                &self.name,
                "--listen",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(self.directory.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .env("ROOKERY_SERVER_NOTICES_USER", NOTICES_USER)
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        if let Some(url) = self.database.url() {
            command.args(["--database", &url]);
        }
        let mut process = command.spawn().expect("the homeserver starts");
        let since = Instant::now();
        loop {
            if let Some(address) = fs::read(&ready).ok().as_deref().and_then(client_address) {
                self.process = Some(process);
                return format!("http://{address}");
            }
            if let Some(status) = process.try_wait().expect("the process is ours") {
                panic!("the homeserver ended with {status}\n{}", self.log());
            }
            if since.elapsed() > PATIENCE {
                let _ = process.kill();
                let _ = process.wait();
                panic!("the homeserver does not get ready\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!(
                "the end of the server's log:\n{}",
                lines[lines.len().saturating_sub(30)..].join("\n")
            );
        }
        if let TestDatabase::Postgres { .. } = self.database {
            let database = self.database.clone();
            // A runtime of its own, on a thread of its own: a drop cannot wait for the one that it may run on.
            let dropping = std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime")
                    .block_on(database.drop_now());
            });
            let _ = dropping.join();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The hex HMAC-SHA1 over the parts, with NUL between them, that the shared secret makes.
fn sign(parts: [&str; 4]) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SHARED_SECRET.as_bytes()).expect("any key");
    mac.update(parts.join("\0").as_bytes());
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The address for clients in a ready file; `None` while it is not written in full.
fn client_address(ready: &[u8]) -> Option<SocketAddr> {
    let ready: Value = serde_json::from_slice(ready).ok()?;
    let address = ready["client"]
        .get(0)
        .unwrap_or(&ready["client"])
        .as_str()?
        .to_owned();
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    Some(address.parse().expect("an address in the ready file"))
}

/// The binary under test: `TEST_HOMESERVER`, or what cargo builds beside this test.
///
/// Cargo does not build the binaries of one package for the tests of another, so we ask it to: once, and nothing
/// happens where it is up to date.
#[must_use]
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if let Some(path) = std::env::var_os("TEST_HOMESERVER") {
            return path.into();
        }
        let test = std::env::current_exe().expect("the test has a path");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("target/<profile>/deps");
        let name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo tells a test of its package would make dependencies look changed.
        for (name, _) in std::env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"]
                .iter()
                .any(|of| name.to_string_lossy().starts_with(of))
            {
                cargo.env_remove(name);
            }
        }
        let built = cargo
            .args([
                "build",
                "--quiet",
                "--package",
                "homeserver",
                "--profile",
                name,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env(
                "CARGO_TARGET_DIR",
                profile.parent().expect("the target directory"),
            )
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the homeserver does not build"
        );
        profile.join("homeserver")
    });
    built.clone()
}
