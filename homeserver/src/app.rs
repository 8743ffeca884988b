//! The one place where the parts meet: configuration, store, engine, APIs, listeners.

mod banner;
mod ready;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::config::Config;
use crate::http::{self, Configure, Listener};
use crate::shutdown::Signals;
use crate::supervise::Supervisor;
use crate::web::Site;
use crate::{telemetry, tls};

/// When the process ends at the latest after it was asked to stop.
const STOP_DEADLINE: Duration = Duration::from_millis(4_800);

/// How often measurements that only gather are folded together.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Threads for work that blocks, beside the runtime's own: hashing passwords, reading files.
const BLOCKING_THREADS_MAX: usize = 8;

/// Why the server did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot create the data directory {}", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("cannot open the database {database}")]
    Store {
        database: String,
        source: storage::Error,
    },
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error(transparent)]
    Listen(#[from] http::CannotListen),
    #[error("cannot write the ready file {}", path.display())]
    ReadyFile { path: PathBuf, source: io::Error },
    #[error("cannot set up the measurements")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("a listener failed")]
    Serve(#[source] io::Error),
}

/// Runs a server until a signal stops it.
///
/// # Errors
/// See [`Error`]; all but the last of its variants are failures to start.
pub(crate) fn run(config: Config, ready_file: Option<PathBuf>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("rookery")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(serve(&config, ready_file.as_deref()));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn serve(config: &Config, ready_file: Option<&Path>) -> Result<(), Error> {
    let mut signals = Signals::take().map_err(Error::Runtime)?;
    create_data_dir(&config.server.data_dir)?;
    let metrics = telemetry::metrics()?;

    let mut supervisor = Supervisor::new();
    let rendered = metrics.clone();
    supervisor.spawn("metrics upkeep", move |mut stop| {
        let metrics = rendered.clone();
        async move {
            loop {
                tokio::select! {
                    () = sleep(METRICS_UPKEEP) => metrics.run_upkeep(),
                    () = stop.requested() => return,
                }
            }
        }
    });

    let site = web::Data::new(Site::new(config, metrics, supervisor.stop_signal()));
    let mut listeners = listen(config, site)?;
    if let Some(path) = ready_file {
        ready::write(path, &listeners.client, &listeners.federation).map_err(|source| {
            Error::ReadyFile {
                path: path.to_owned(),
                source,
            }
        })?;
    }
    info!(
        server = %config.server.name,
        client = ?listeners.client,
        federation = ?listeners.federation,
        database = %config.database_url(),
        "listening"
    );
    banner::print(config, &listeners.client);

    let outcome = listeners.serve_until(signals.next()).await;
    stop(listeners, supervisor, signals).await;
    outcome
}

/// The running listeners.
struct Listeners {
    client: Vec<SocketAddr>,
    federation: Vec<SocketAddr>,
    handles: Vec<ServerHandle>,
    running: JoinSet<io::Result<()>>,
}

/// Binds all listeners and starts to answer.
fn listen(config: &Config, site: web::Data<Site>) -> Result<Listeners, Error> {
    let workers = match config.server.workers.0 {
        0 => cores(),
        count => usize::try_from(count).unwrap_or(usize::MAX),
    };
    let mut listeners = Listeners {
        client: Vec::new(),
        federation: Vec::new(),
        handles: Vec::new(),
        running: JoinSet::new(),
    };

    let client = Listener {
        addresses: &config.client.addresses,
        tls: tls::optional(&config.client.tls_cert, &config.client.tls_key)?,
        workers,
    };
    let for_client = site.clone();
    let configure: Configure =
        Arc::new(move |routes| crate::web::configure_client(routes, for_client.clone()));
    listeners.client = listeners.start(client, &configure)?;

    let federation = &config.federation_listener;
    if !federation.addresses.is_empty() {
        let listener = Listener {
            addresses: &federation.addresses,
            tls: tls::optional(&federation.tls_cert, &federation.tls_key)?,
            workers,
        };
        let configure: Configure =
            Arc::new(move |routes| crate::web::configure_federation(routes, site.clone()));
        listeners.federation = listeners.start(listener, &configure)?;
    }
    Ok(listeners)
}

impl Listeners {
    fn start(
        &mut self,
        listener: Listener<'_>,
        configure: &Configure,
    ) -> Result<Vec<SocketAddr>, Error> {
        let bound = http::bind(listener, configure)?;
        self.handles.push(bound.server.handle());
        self.running.spawn(bound.server);
        Ok(bound.addresses)
    }

    /// Serves until `asked` resolves to the reason for stopping, or a listener ends by itself.
    async fn serve_until(
        &mut self,
        asked: impl Future<Output = &'static str>,
    ) -> Result<(), Error> {
        tokio::select! {
            signal = asked => {
                info!(signal, "stopping: requests in flight are answered first");
                Ok(())
            }
            Some(ended) = self.running.join_next() => match ended {
                Ok(Err(failure)) => Err(Error::Serve(failure)),
                Ok(Ok(())) | Err(_) => Err(Error::Serve(io::Error::other("it ended by itself"))),
            },
        }
    }

    /// Lets requests in flight finish, then closes all connections.
    async fn drain(mut self) {
        for handle in &self.handles {
            // Only sends the order; what ends is the server, below.
            drop(handle.stop(true));
        }
        while self.running.join_next().await.is_some() {}
    }
}

/// Stops everything within [`STOP_DEADLINE`]; a second signal ends the process at once.
async fn stop(listeners: Listeners, supervisor: Supervisor, mut signals: Signals) {
    supervisor.request_stop();
    let orderly = async {
        listeners.drain().await;
        supervisor.stop(Duration::from_secs(1)).await;
    };
    tokio::select! {
        done = timeout(STOP_DEADLINE, orderly) => match done {
            Ok(()) => info!("stopped"),
            Err(_) => warn!("not everything stopped in time; ending now"),
        },
        signal = signals.next() => warn!(signal, "told again: ending at once"),
    }
}

fn create_data_dir(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|source| Error::DataDir {
        path: path.to_owned(),
        source,
    })
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}
