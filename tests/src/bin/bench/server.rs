//! A server under test: found running, or started here on a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use hyper::Method;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::Result;
use crate::connection::Connection;

/// Longest wait for the first answer of a server that was started here.
const START_MAX: Duration = Duration::from_secs(60);
/// How often a starting server is asked whether it answers.
const START_POLL: Duration = Duration::from_millis(2);

/// Where a server comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    name: String,
    address: String,
    pid: Option<u32>,
    start: Option<Start>,
}

/// How a server is started.
#[derive(Debug, Clone)]
enum Start {
    /// Our own binary, with an empty data directory.
    Ours {
        binary: String,
        database: Option<String>,
        /// The server name, and the flags by which it meets others.
        federated: Option<(String, Vec<String>)>,
    },
    /// A line for the shell that stays in the foreground.
    Shell(String),
}

impl Source {
    /// The binary of this project, on a port that is free now.
    pub(crate) fn ours(binary: &str, database: Option<String>) -> Self {
        let name = if database.is_some() {
            "Rookery, PostgreSQL"
        } else {
            "Rookery, SQLite"
        };
        Self {
            name: name.to_owned(),
            address: String::new(),
            pid: None,
            start: Some(Start::Ours {
                binary: binary.to_owned(),
                database,
                federated: None,
            }),
        }
    }

    /// The same on SQLite as a server that others can reach by `name`; `None` if it is not ours.
    pub(crate) fn federated(&self, name: String, flags: Vec<String>) -> Option<Self> {
        match &self.start {
            Some(Start::Ours { binary, .. }) => Some(Self {
                start: Some(Start::Ours {
                    binary: binary.clone(),
                    database: None,
                    federated: Some((name, flags)),
                }),
                ..self.clone()
            }),
            _ => None,
        }
    }

    /// The binary, if it is ours and started here.
    pub(crate) fn binary(&self) -> Option<&str> {
        match &self.start {
            Some(Start::Ours { binary, .. }) => Some(binary),
            _ => None,
        }
    }

    /// A server that runs already: `NAME=URL` or `URL`.
    pub(crate) fn running(spec: &str, pid: Option<u32>) -> Self {
        let (name, url) = spec.split_once('=').unwrap_or((spec, spec));
        Self {
            name: name.to_owned(),
            address: address(url),
            pid,
            start: None,
        }
    }

    /// A server that a shell line starts: `NAME=URL=COMMAND`.
    pub(crate) fn command(spec: &str) -> Result<Self> {
        let mut parts = spec.splitn(3, '=');
        let (Some(name), Some(url), Some(line)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("--command {spec}: it reads NAME=URL=COMMAND").into());
        };
        let start = Some(Start::Shell(line.to_owned()));
        Ok(Self {
            name: name.to_owned(),
            address: address(url),
            pid: None,
            start,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// The `host:port` of a plain HTTP base URL.
fn address(url: &str) -> String {
    url.trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned()
}

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server {
    source: Source,
    shared_secret: Option<String>,
    child: Option<Child>,
    data: Option<DataDir>,
    /// From the start of the process to the first answer; `None` if it ran already.
    started_in: Option<Duration>,
}

impl Server {
    /// Starts the server if it has to be started, and waits for its first answer.
    pub(crate) async fn start(mut source: Source, shared_secret: Option<String>) -> Result<Self> {
        let mut data = None;
        if let Some(Start::Ours { .. }) = source.start {
            data = Some(DataDir::create()?);
            source.address = free_address()?;
        }
        let mut server = Self {
            source,
            shared_secret,
            child: None,
            data,
            started_in: None,
        };
        server.launch().await?;
        Ok(server)
    }

    /// Starts it again after [`Server::stop`], on the data that it had.
    pub(crate) async fn launch(&mut self) -> Result<()> {
        let Some(start) = &self.source.start else {
            return self.answers().await;
        };
        let mut command = match start {
            Start::Ours {
                binary,
                database,
                federated,
            } => {
                let data = self
                    .data
                    .as_ref()
                    .ok_or("our server needs a data directory")?;
                let mut command = Command::new(binary);
                let name = federated.as_ref().map_or("localhost", |(name, _)| name);
                command
                    .args(["serve", "--server-name", name, "--data-dir"])
                    .arg(&data.0);
                if let Some((_, flags)) = federated {
                    command.args(flags);
                }
                command.args(["--listen", &self.source.address]);
                command.args(["--open-registration", "--no-rate-limits"]);
                if let Some(database) = database {
                    command.args(["--database", database]);
                }
                command
            }
            Start::Shell(line) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("exec {line}")]);
                command
            }
        };
        let log = self.log()?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let begun = Instant::now();
        self.child = Some(command.spawn()?);
        while self.answers().await.is_err() {
            let child = self.child.as_mut().ok_or("it was just started")?;
            if let Some(status) = child.try_wait()? {
                return Err(format!("{} ended at once: {status}", self.name()).into());
            }
            if begun.elapsed() > START_MAX {
                return Err(format!("{} does not answer", self.name()).into());
            }
            sleep(START_POLL).await;
        }
        self.started_in = Some(begun.elapsed());
        Ok(())
    }

    /// Ends what was started here, in its own time; a server that ran already is left alone.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let Some(pid) = child.id() else { return Ok(()) };
        Command::new("kill").arg(pid.to_string()).status().await?;
        child.wait().await?;
        Ok(())
    }

    /// Ends what was started here and starts it again on its data; a server that ran already is left alone.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    async fn answers(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        let path = "/_matrix/client/versions";
        connection
            .request(Method::GET, path, None, "")
            .await?
            .success("versions")?;
        Ok(())
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.source.address).await
    }

    /// Its `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.source.address
    }

    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn shared_secret(&self) -> Option<&str> {
        self.shared_secret.as_deref()
    }

    pub(crate) fn started_in(&self) -> Option<Duration> {
        self.started_in
    }

    /// Resident memory of the server in bytes, if its process is known.
    pub(crate) fn memory(&self) -> Option<u64> {
        let pid = self.pid()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// What the server has had of the processors so far, if its process is known.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        /// Linux tells it in hundredths of a second, whatever the kernel counts in.
        const TICK: Duration = Duration::from_millis(10);
        let pid = self.pid()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name, in parentheses, and may have anything in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u32>);
        let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
        Some(TICK * (user + system))
    }

    fn pid(&self) -> Option<u32> {
        let child = self.child.as_ref().and_then(Child::id);
        child.or(self.source.pid)
    }

    fn log(&self) -> Result<std::fs::File> {
        let name = format!("rookery-bench-{}.log", std::process::id());
        let path = std::env::temp_dir().join(name);
        Ok(std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?)
    }
}

/// A free port of this machine. Another process may take it before the server does; then the
/// server says so and the run ends.
fn free_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

/// A directory that goes away with its owner.
#[derive(Debug)]
struct DataDir(PathBuf);

impl DataDir {
    fn create() -> Result<Self> {
        let path =
            std::env::temp_dir().join(format!("rookery-bench-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        if let Err(error) = std::fs::remove_dir_all(path) {
            eprintln!("{} stays behind: {error}", path.display());
        }
    }
}
