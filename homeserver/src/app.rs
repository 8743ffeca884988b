//! The one place where the parts meet: configuration, store, engine, APIs, listeners.

mod banner;
mod listeners;
mod ready;
mod settings;
mod tasks;

use std::fs::DirBuilder;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::web::Data;
use client_api::ClientApi;
use engine::account::Accounts;
use engine::chance::Chance;
use engine::{Clock, Engine};
use federation::keys::{KeysError, OwnKeys, Rotated};
use federation::{Federation, TrustError};
use storage::Store;
use tokio::time::timeout;
use tracing::{info, warn};

use self::listeners::{Apis, Listeners};
pub(crate) use self::settings::{federation as federation_settings, livekit_urls};
use crate::clock::SystemClock;
use crate::config::{Config, RegistrationMode};
use crate::http;
use crate::shutdown::Signals;
use crate::smtp::Smtp;
use crate::supervise::Supervisor;
use crate::web::Site;
use crate::{telemetry, tls};

/// How long requests and tasks get after the process was asked to stop; the store comes after
/// them. Together under the five seconds that an operator's `stop` may take.
const STOP_DEADLINE: Duration = Duration::from_millis(4_000);

/// How long the store gets to write what waits and to close. It has written all that was
/// acknowledged before; what is cut off here was answered to nobody.
const CLOSE_DEADLINE: Duration = Duration::from_millis(700);

/// Threads for work that blocks, beside the runtime's own: reading files, resolving names.
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
    Keys(#[from] KeysError),
    #[error("the engine does not start")]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Listen(#[from] http::CannotListen),
    #[error("cannot prepare to send e-mail")]
    Mail(#[source] lettre::transport::smtp::Error),
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
pub(crate) fn run(config: &Config, ready_file: Option<&Path>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("rookery")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(serve(config, ready_file));
    // Everything has been stopped in order; what is left has had its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// Lifts the limit of open files to what the system allows this process: each waiting client is one, and the usual
/// limit of 1,024 is soft, for programs of old.
fn allow_many_connections() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve(config: &Config, ready_file: Option<&Path>) -> Result<(), Error> {
    allow_many_connections();
    let mut signals = Signals::take().map_err(Error::Runtime)?;
    let store = open_store(config).await?;
    let outcome = serve_store(config, ready_file, &store, &mut signals).await;
    if timeout(CLOSE_DEADLINE, store.close()).await.is_err() {
        warn!("the database did not close in time");
    }
    info!("stopped");
    outcome
}

/// Everything between opening the store and closing it.
async fn serve_store(
    config: &Config,
    ready_file: Option<&Path>,
    store: &Store,
    signals: &mut Signals,
) -> Result<(), Error> {
    let metrics = telemetry::metrics()?;
    let chance = Arc::new(Chance::from_system());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let name = &config.server.name;
    let keys = OwnKeys::load(store, name, chance.bytes(), clock.now_ms()).await?;
    let engine = Engine::start(
        store.clone(),
        settings::engine(config, &keys),
        Arc::clone(&clock),
        Arc::clone(&chance),
        Arc::clone(keys.current()),
    )?;
    connect_mailer(config, &engine, &clock, &chance)?;
    let federation = Federation::start(
        &engine,
        store.clone(),
        keys,
        settings::federation(config)?,
        clock,
        chance,
    )?;

    let mut supervisor = Supervisor::new();
    tasks::start(&mut supervisor, &engine, &federation, &metrics, config);
    let apis = Apis {
        client: ClientApi::new(engine, settings::client_api(config)),
        federation,
        site: Data::new(Site::new(
            config,
            metrics,
            supervisor.stop_signal(),
            store.clone(),
        )),
    };
    let mut listeners = Listeners::bind(config, &apis)?;
    announce(config, ready_file, &listeners)?;

    let outcome = listeners.serve_until(signals.next()).await;
    stop(listeners, &apis.client, supervisor, signals).await;
    outcome
}

/// Has the engine send e-mails, if the configuration names a mail server.
fn connect_mailer(
    config: &Config,
    engine: &Engine,
    clock: &Arc<dyn Clock>,
    chance: &Arc<Chance>,
) -> Result<(), Error> {
    let email = &config.email;
    let (Some(server), Some(from)) = (&email.server, &email.from) else {
        return Ok(());
    };
    let (from, clock, chance) = (from.0.clone(), Arc::clone(clock), Arc::clone(chance));
    let authorities = tls::authorities(&email.trusted_ca).map_err(Error::Tls)?;
    let smtp = Smtp::new(server, from, email, &authorities, clock, chance).map_err(Error::Mail)?;
    engine.connect_mailer(Arc::new(smtp), settings::mail(config));
    Ok(())
}

/// Tells whoever waits for it that the server is up.
fn announce(
    config: &Config,
    ready_file: Option<&Path>,
    listeners: &Listeners,
) -> Result<(), Error> {
    if let Some(path) = ready_file {
        ready::write(path, listeners.client(), listeners.federation()).map_err(|source| {
            Error::ReadyFile {
                path: path.to_owned(),
                source,
            }
        })?;
    }
    info!(
        server = %config.server.name,
        client = ?listeners.client(),
        federation = ?listeners.federation(),
        database = %config.database_url(),
        "listening"
    );
    let reachable = listeners
        .client()
        .iter()
        .any(|address| !address.ip().is_loopback());
    if config.registration.mode == RegistrationMode::Open && reachable {
        warn!("registration is open to everybody who can reach this server");
    }
    banner::print(config, listeners.client());
    Ok(())
}

/// Stops all but the store within [`STOP_DEADLINE`]; a second signal cuts it short.
async fn stop(
    listeners: Listeners,
    client: &ClientApi,
    supervisor: Supervisor,
    signals: &mut Signals,
) {
    supervisor.request_stop();
    client.stop();
    let orderly = async {
        listeners.drain().await;
        supervisor.stop(Duration::from_secs(1)).await;
    };
    tokio::select! {
        done = timeout(STOP_DEADLINE, orderly) => if done.is_err() {
            warn!("not everything stopped in time; ending now");
        },
        signal = signals.next() => warn!(signal, "told again: ending at once"),
    }
}

/// The accounts of a server that is not running, for orders from the command line. Whoever calls
/// this closes the store.
///
/// # Errors
/// The data cannot be opened; above all, another process uses it.
pub(crate) async fn open_accounts(config: &Config) -> Result<(Store, Accounts), Error> {
    let store = open_store(config).await?;
    let chance = Arc::new(Chance::from_system());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // Not for the keys: whoever gives orders with the wrong server name is told so.
    OwnKeys::load(&store, &config.server.name, chance.bytes(), clock.now_ms()).await?;
    let accounts = Accounts::new(store.clone(), clock, chance, settings::accounts(config))?;
    Ok((store, accounts))
}

/// Gives a server that is not running a new signing key.
///
/// # Errors
/// The data cannot be opened; above all, another process uses it.
pub(crate) async fn rotate_key(config: &Config) -> Result<Rotated, Error> {
    let store = open_store(config).await?;
    let (seed, now_ms) = (Chance::from_system().bytes(), SystemClock::new().now_ms());
    let rotated = OwnKeys::rotate(&store, &config.server.name, seed, now_ms).await;
    store.close().await;
    Ok(rotated?)
}

async fn open_store(config: &Config) -> Result<Store, Error> {
    create_data_dir(&config.server.data_dir)?;
    Store::open(settings::storage(config))
        .await
        .map_err(|source| Error::Store {
            database: config.database_url().to_string(),
            source,
        })
}

/// Only for its owner: the database holds the signing key and the hashes of all passwords.
fn create_data_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::DataDir {
            path: path.to_owned(),
            source,
        })
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}
