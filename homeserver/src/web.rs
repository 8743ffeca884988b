//! What the binary serves besides the Matrix APIs: the front page, discovery, health, metrics.

mod front_page;
mod health;
mod metrics;
mod well_known;

use actix_web::web;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use ruma::OwnedServerName;
use storage::Store;

use crate::config::{Config, RegistrationMode};
use crate::supervise::Stop;

/// What these pages know about the server.
pub(crate) struct Site {
    server_name: OwnedServerName,
    /// Where clients connect, if the configuration says so.
    client_url: Option<String>,
    /// Where other servers connect: `host:port`.
    federation: String,
    registration: RegistrationMode,
    metrics: PrometheusHandle,
    metrics_allow: Vec<IpNet>,
    stop: Stop,
    store: Store,
}

impl Site {
    /// What the configuration says.
    pub(crate) fn new(
        config: &Config,
        metrics: PrometheusHandle,
        stop: Stop,
        store: Store,
    ) -> Self {
        let name = &config.server.name;
        let federation = match &config.discovery.server {
            Some(server) => server.to_string(),
            None if name.port().is_some() => name.to_string(),
            None => format!("{name}:443"),
        };
        Self {
            server_name: name.clone(),
            client_url: config
                .discovery
                .client_url
                .as_ref()
                .map(|url| url.0.clone()),
            federation,
            registration: config.registration.mode,
            metrics,
            metrics_allow: config.metrics.allow.clone(),
            stop,
            store,
        }
    }
}

/// The pages of the client listener.
pub(crate) fn configure_client(routes: &mut web::ServiceConfig, site: &web::Data<Site>) {
    routes
        .service(
            web::resource("/")
                .app_data(site.clone())
                .route(web::get().to(front_page::handle))
                .route(web::head().to(front_page::handle)),
        )
        .service(
            web::resource("/.well-known/matrix/client")
                .app_data(site.clone())
                .route(web::get().to(well_known::client))
                .route(web::method(actix_web::http::Method::OPTIONS).to(well_known::preflight)),
        )
        .service(
            web::resource("/metrics")
                .app_data(site.clone())
                .route(web::get().to(metrics::handle)),
        );
    configure_federation(routes, site);
}

/// The pages of the federation listener, which the client listener has as well.
pub(crate) fn configure_federation(routes: &mut web::ServiceConfig, site: &web::Data<Site>) {
    routes
        .service(
            web::resource("/.well-known/matrix/server")
                .app_data(site.clone())
                .route(web::get().to(well_known::server))
                .route(web::method(actix_web::http::Method::OPTIONS).to(well_known::preflight)),
        )
        .service(
            web::resource("/health")
                .app_data(site.clone())
                .route(web::get().to(health::handle)),
        );
}
