//! What servers speak: the server's own signing keys, and the routes for other servers.
//!
//! A request goes `routes` → `x_matrix` (who signed it, where the route asks for that) → a handler
//! in a file of its own. Like the client API it stands on the engine and decides nothing itself.
//! Not here yet: rooms over federation, fetching the keys of other servers, outbound requests.

mod error;
pub mod keys;
mod routes;
mod version;
pub mod x_matrix;

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::web;
use ruma::OwnedServerName;

pub use self::error::ApiError;
use self::keys::OwnKeys;
pub use self::routes::registered;

/// The time of day in milliseconds since the epoch, as the binary knows it.
pub type Clock = Arc<dyn engine::Clock>;

/// The federation API of one server. Clones share everything, so each worker takes one.
#[derive(Clone)]
pub struct Federation {
    shared: web::Data<Shared>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) keys: OwnKeys,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
}

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long others may rely on our keys before they ask again, in milliseconds.
    pub key_validity_ms: i64,
}

impl Federation {
    /// The API of the server whose keys these are.
    #[must_use]
    pub fn new(keys: OwnKeys, settings: Settings, clock: Clock) -> Self {
        Self {
            shared: web::Data::new(Shared {
                keys,
                settings,
                clock,
            }),
        }
    }

    /// The server's own name.
    #[must_use]
    pub fn server_name(&self) -> OwnedServerName {
        self.shared.keys.current().server().to_owned()
    }

    /// Registers all routes with an actix application. Unknown paths below them get
    /// `M_UNRECOGNIZED`.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config.app_data(self.shared.clone());
        routes::configure(config);
    }
}

/// Every route of this API, as method and path.
pub type Registered = Vec<(Method, String)>;
