//! What servers speak: who they are, where they are, what they ask each other.
//!
//! A request of another server goes `routes` → `x_matrix` (who signed it, where the route asks for that) → a
//! handler in a file of its own. A request of ours goes `client` (signed) → `discovery` (where to) →
//! `transport` (an address that is allowed, a certificate that is right). Like the client API this crate stands on
//! the engine and decides nothing itself; `peers` is how the engine asks other servers, and `outbound`
//! brings them the events of our users.

mod body;
pub mod check;
mod client;
mod discovery;
mod error;
mod gateways;
mod identity;
mod inbound;
pub mod keys;
pub mod outbound;
mod params;
mod peers;
mod routes;
mod servers;
mod transport;
mod uri;
mod version;
pub mod x_matrix;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::web;
use engine::account::Accounts;
use engine::buckets::{Bucket, Buckets};
use engine::chance::Chance;
use engine::{Engine, Steady};
use ipnet::IpNet;
use ruma::{OwnedServerName, ServerName};
use rustls_pki_types::CertificateDer;
use storage::Store;
use tokio::runtime::Handle;

use self::client::Client;
use self::discovery::Discovery;
pub use self::discovery::Step;
pub use self::error::ApiError;
use self::gateways::HttpGateways;
use self::identity::HttpIdentity;
use self::inbound::Room;
use self::inbound::send_transaction::Answers;
use self::keys::OwnKeys;
use self::keys::remote::RemoteKeyRing;
use self::outbound::Outbound;
use self::peers::Network;
pub use self::routes::registered;
pub use self::servers::Servers;
use self::transport::{AddressFilter, Dns, Transport};
pub use self::transport::{Proxy, TransportError, TrustError, Way};
use self::x_matrix::RemoteKeys;

/// The time of day in milliseconds since the epoch, as the binary knows it.
pub type Clock = Arc<dyn engine::Clock>;

/// The federation API of one server. Clones share everything, so each worker takes one.
#[derive(Clone)]
pub struct Federation {
    shared: web::Data<Shared>,
    remote_keys: web::Data<Arc<dyn RemoteKeys>>,
    engine: web::Data<Room>,
    accounts: web::Data<Accounts>,
    answers: web::Data<Answers>,
    outbound: Arc<Outbound>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) keys: Arc<RemoteKeyRing>,
    /// How long others may rely on our keys, in milliseconds.
    pub(crate) key_validity_ms: i64,
    pub(crate) clock: Clock,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) client: Arc<Client>,
    pub(crate) servers: Arc<Servers>,
    rate_limit: Option<Bucket>,
    asked: Buckets<OwnedServerName>,
    /// How often addresses ask for the keys of others.
    pub(crate) asked_for_keys: Buckets<IpAddr>,
}

impl Shared {
    pub(crate) fn server_name(&self) -> &ServerName {
        self.keys.own().current().server()
    }

    /// Counts a request of another server.
    ///
    /// # Errors
    /// The time after which the next one goes through.
    pub(crate) fn take_turn(&self, server: &ServerName) -> Result<(), Duration> {
        match self.rate_limit {
            Some(bucket) => self.asked.take(bucket, server.to_owned()),
            None => Ok(()),
        }
    }
}

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long others may rely on our keys before they ask again, in milliseconds.
    pub key_validity_ms: i64,
    /// Private networks that may be connected to.
    pub allow_addresses: Vec<IpNet>,
    /// Whether push gateways may be told over plain HTTP.
    pub plain_push_gateways: bool,
    /// The proxy that all connections to others go through.
    pub proxy: Option<Proxy>,
    /// Certificate authorities besides those of the system.
    pub trusted_authorities: Vec<CertificateDer<'static>>,
    /// Who is asked for the keys of servers that do not answer, in this order.
    pub notaries: Vec<OwnedServerName>,
    /// Whom this server talks to.
    pub servers: Servers,
    /// How many events that a server has missed are all sent to it; of more only the newest of each room are.
    pub catch_up_max: u32,
    /// How often one server may ask; `None` for as often as it likes.
    pub rate_limit: Option<Bucket>,
}

impl Federation {
    /// The API of the server whose keys these are. From now on the engine can ask other servers.
    ///
    /// Must be called inside of the main runtime, which the connections to other servers then belong to.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn start(
        engine: &Engine,
        store: Store,
        keys: OwnKeys,
        settings: Settings,
        clock: Clock,
        chance: Arc<Chance>,
    ) -> Result<Self, TrustError> {
        let (transport, discovery) = outward(&settings, &clock, Arc::clone(&chance))?;
        let gateways = HttpGateways::new(Arc::clone(&transport), &settings, Handle::current());
        engine.connect_gateways(Arc::new(gateways));
        let identity = HttpIdentity::new(Arc::clone(&transport), Handle::current());
        engine.connect_identity(Arc::new(identity));
        let key = Arc::clone(keys.current());
        let servers = Arc::new(settings.servers);
        let client = Client::new(
            transport,
            discovery,
            key,
            Handle::current(),
            Arc::clone(&servers),
        );
        let client = Arc::new(client);
        let keys = Arc::new(RemoteKeyRing::new(
            store.clone(),
            Arc::clone(&client),
            keys,
            Arc::clone(&clock),
            settings.notaries,
        ));
        let outbound = Arc::new(Outbound::new(
            engine.clone(),
            Arc::clone(&servers),
            store,
            Arc::clone(&client),
            Arc::new(Steady(Arc::clone(&clock))),
            chance,
            settings.catch_up_max,
        ));
        let answered = Arc::downgrade(&outbound);
        client.tell_answers(move |server| {
            if let Some(outbound) = answered.upgrade() {
                outbound.heard_from(server);
            }
        });
        let network = Network::new(Arc::clone(&client), Arc::clone(&keys));
        engine.connect(Arc::new(network));
        let remote_keys: Arc<dyn RemoteKeys> = keys.clone();
        Ok(Self {
            shared: web::Data::new(Shared {
                keys,
                key_validity_ms: settings.key_validity_ms,
                clock,
                outbound: Arc::clone(&outbound),
                client,
                servers,
                rate_limit: settings.rate_limit,
                asked: Buckets::default(),
                asked_for_keys: Buckets::default(),
            }),
            remote_keys: web::Data::new(remote_keys),
            engine: web::Data::new(Room::new(engine.inbound())),
            accounts: web::Data::new(engine.accounts().clone()),
            answers: web::Data::default(),
            outbound,
        })
    }

    /// The server's own name.
    #[must_use]
    pub fn server_name(&self) -> OwnedServerName {
        self.shared.server_name().to_owned()
    }

    /// The queues for other servers. Somebody has to [run](Outbound::run) them.
    #[must_use]
    pub fn outbound(&self) -> Arc<Outbound> {
        Arc::clone(&self.outbound)
    }

    /// Registers all routes with an actix application. Unknown paths below them get
    /// `M_UNRECOGNIZED`.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config.app_data(self.shared.clone());
        config.app_data(self.remote_keys.clone());
        config.app_data(self.engine.clone());
        config.app_data(self.accounts.clone());
        config.app_data(self.answers.clone());
        routes::configure(config);
    }
}

/// The way to other servers, as the settings allow it.
fn outward(
    settings: &Settings,
    clock: &Clock,
    chance: Arc<Chance>,
) -> Result<(Arc<Transport>, Arc<Discovery>), TrustError> {
    let filter = AddressFilter::new(settings.allow_addresses.clone());
    let authorities = &settings.trusted_authorities;
    let proxy = settings.proxy.clone();
    let transport = Transport::new(Dns::from_system(), filter, proxy, authorities)?;
    let transport = Arc::new(transport);
    let discovery = Discovery::new(Arc::clone(&transport), Arc::clone(clock), chance);
    Ok((transport, Arc::new(discovery)))
}

/// Every route of this API, as method and path.
pub type Registered = Vec<(Method, String)>;
