//! Listening: sockets, TLS, workers, and what holds for every request whatever its path.

mod forwarded;
mod observe;
mod parts;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;

/// How long requests in flight may take once the server is asked to stop. With the rest of the
/// shutdown it stays under the five seconds that an operator's `stop` should take.
const DRAIN_SECONDS: u64 = 3;

/// How long an idle connection is kept for the next request. Longer than the pauses of a client
/// that syncs with the usual 30 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Threads of each worker for work that blocks (password hashing has its own bound).
const BLOCKING_THREADS: usize = 2;

/// Registers routes: called once in each worker.
pub(crate) type Configure = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// Where to listen and with what.
pub(crate) struct Listener<'a> {
    pub(crate) addresses: &'a [SocketAddr],
    /// Plain HTTP without.
    pub(crate) tls: Option<ServerConfig>,
    /// Whether a proxy of the operator's stands in front, whose word on where a request comes from counts.
    pub(crate) behind_proxy: bool,
    /// Threads that answer requests.
    pub(crate) workers: usize,
}

/// A listener that has its sockets.
pub(crate) struct Bound {
    /// Runs when polled.
    pub(crate) server: Server,
    /// Where it listens, with the ports that port 0 became.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{hint}")]
pub(crate) struct CannotListen {
    address: SocketAddr,
    hint: &'static str,
    source: io::Error,
}

impl CannotListen {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => " (something else listens there; choose another port)",
            io::ErrorKind::PermissionDenied => " (ports below 1024 need a privilege)",
            io::ErrorKind::AddrNotAvailable => " (this machine has no such address)",
            _ => "",
        };
        Self {
            address,
            hint,
            source,
        }
    }
}

/// Binds the sockets of a listener and starts its workers; nothing is answered before the returned
/// server is polled.
///
/// # Errors
/// An address is taken, or not ours to listen on.
pub(crate) fn bind(listener: Listener<'_>, configure: &Configure) -> Result<Bound, CannotListen> {
    let configure = Arc::clone(configure);
    let behind_proxy = listener.behind_proxy;
    let mut server = HttpServer::new(move || {
        App::new()
            .wrap(Condition::new(
                behind_proxy,
                from_fn(forwarded::see_through),
            ))
            .wrap(from_fn(observe::observe))
            .default_service(web::to(client_api::unrecognized))
            .configure(|routes| configure(routes))
    })
    .workers(listener.workers)
    .worker_max_blocking_threads(BLOCKING_THREADS)
    .keep_alive(KEEP_ALIVE)
    // Who hangs up waits for nothing any more: a sync that nobody reads must not go on.
    .h1_allow_half_closed(false)
    .h1_write_buffer_size(parts::WRITTEN_BYTES)
    .tcp_nodelay(true)
    .disable_signals()
    .shutdown_timeout(DRAIN_SECONDS);
    for &address in listener.addresses {
        let bound = match &listener.tls {
            Some(tls) => server.bind_rustls_0_23(address, tls.clone()),
            None => server.bind(address),
        };
        server = bound.map_err(|source| CannotListen::new(address, source))?;
    }
    let addresses = server.addrs();
    Ok(Bound {
        server: server.run(),
        addresses,
    })
}
