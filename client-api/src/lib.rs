//! What clients speak: the client-server API over HTTP and WebSocket.
//!
//! A request goes `dispatch` (CORS, path, method) → `extract` (token, limits, body, shape) → a handler, which asks the
//! engine once → `reply` or `error`. Handlers live in a folder a subject, a file an operation; `routes` lists them.
//! Nothing is decided here about rooms or accounts, and nothing is stored: that is the engine's.

mod account;
mod account_data;
mod admin;
mod cors;
mod device;
mod directory;
mod discovery;
mod dispatch;
mod error;
mod extract;
mod filter;
mod guests;
mod interactive;
mod legacy;
mod limits;
mod main_runtime;
mod presence;
mod profile;
mod push;
mod reply;
mod reporting;
mod room;
mod router;
mod routes;
mod search;
mod session;
mod settings;
mod socket;
mod sync;
#[cfg(test)]
mod tests;
mod thirdparty;
mod voip;

use std::sync::Arc;

use actix_web::{dev::fn_service, http::Method, web};
use engine::Engine;

use self::main_runtime::MainRuntime;

pub use self::{
    cors::add_cors_headers,
    dispatch::{Matched, unrecognized},
    error::ApiError,
    limits::{Class, Limits},
    settings::{RateLimits, Settings, Turn, TurnAccess},
    voip::get_rtc_transports::rtc_transports,
};

/// The path prefixes that this API answers, known paths and unknown ones.
const PREFIXES: [&str; 3] = ["/_matrix/client", "/_matrix/media", "/_synapse"];

/// The client API over one engine. Built once; clones share everything, so each worker takes one.
#[derive(Clone)]
pub struct ClientApi {
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
}

/// What all requests share besides the engine.
pub(crate) struct Shared {
    pub(crate) router: router::Router,
    pub(crate) settings: Settings,
    pub(crate) limits: Arc<Limits>,
    pub(crate) sockets: socket::Registry,
    pub(crate) main: MainRuntime,
}

impl ClientApi {
    /// Builds the routing table and the rate limiter.
    ///
    /// # Panics
    /// Outside of a tokio runtime: the one that this is called on is where large answers are computed.
    #[must_use]
    pub fn new(engine: Engine, settings: Settings) -> Self {
        let limits = Arc::new(Limits::new(settings.rate_limits.clone()));
        let shared = Shared {
            router: routes::all(),
            settings,
            limits,
            sockets: socket::Registry::default(),
            main: MainRuntime::current(),
        };
        Self {
            engine: web::Data::new(engine),
            shared: web::Data::new(shared),
        }
    }

    /// Ends all waiting: sockets close with 1012, and syncs are answered. Called once, when the server begins to stop.
    pub fn stop(&self) {
        self.shared.sockets.stop();
    }

    /// Registers everything below [`PREFIXES`] with an actix application; unknown paths there get `M_UNRECOGNIZED`.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.engine.clone())
            .app_data(self.shared.clone());
        for prefix in PREFIXES {
            config.service(web::scope(prefix).default_service(fn_service(dispatch::dispatch)));
        }
    }
}

/// Every route of this API as method and path, variables written `{name}`; sorted by path.
///
/// The conformance tests hold it against `spec/api`.
#[must_use]
pub fn registered() -> Vec<(Method, String)> {
    routes::all().registered()
}
