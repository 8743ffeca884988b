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
    Store { database: String, source: storage::Error },
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
