//! What the binary serves besides the Matrix APIs: the front page, discovery, health, metrics.

mod front_page;
mod health;
mod metrics;
mod well_known;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Route, guard, web};
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use ruma::OwnedServerName;
use serde_json::json;
use storage::Store;

use crate::config::{Config, RegistrationMode};
use crate::supervise::Stop;

/// What these pages know about the server.
pub(crate) struct Site {
    server_name: OwnedServerName,
    /// Where clients connect, if the configuration says so.
    client_url: Option<String>,
    /// What calls of many people go through.
    livekit_urls: Vec<String>,
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
            livekit_urls: crate::app::livekit_urls(config),
            federation,
            registration: config.registration.mode,
            metrics,
            metrics_allow: config.metrics.allow.clone(),
            stop,
            store,
        }
    }
}

/// One page: its path, and what answers GET (and HEAD).
type Page = (&'static str, fn() -> Route);

/// The pages of the client listener alone.
const CLIENT_PAGES: [Page; 3] = [
    ("/", || web::route().to(front_page::handle)),
    ("/.well-known/matrix/client", || {
        web::route().to(well_known::client)
    }),
    ("/metrics", || web::route().to(metrics::handle)),
];

/// The pages of both listeners.
const PAGES: [Page; 2] = [
    ("/.well-known/matrix/server", || {
        web::route().to(well_known::server)
    }),
    ("/health", || web::route().to(health::handle)),
];

/// The pages of the client listener.
pub(crate) fn configure_client(routes: &mut web::ServiceConfig, site: &web::Data<Site>) {
    configure(routes, site, &CLIENT_PAGES);
    configure(routes, site, &PAGES);
}

/// The pages of the federation listener.
pub(crate) fn configure_federation(routes: &mut web::ServiceConfig, site: &web::Data<Site>) {
    configure(routes, site, &PAGES);
}

/// The paths of all pages; each answers GET.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    CLIENT_PAGES.iter().chain(&PAGES).map(|(path, _)| *path)
}

fn configure(routes: &mut web::ServiceConfig, site: &web::Data<Site>, pages: &[Page]) {
    for (path, route) in pages {
        let reads = guard::Any(guard::Get()).or(guard::Head());
        routes.service(
            web::resource(*path)
                .app_data(site.clone())
                .route(route().guard(reads))
                .default_service(web::to(other_method)),
        );
    }
}

/// 405 `M_UNRECOGNIZED`; but browsers may always ask what they may ask.
async fn other_method(request: HttpRequest) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().finish();
    }
    HttpResponse::MethodNotAllowed()
        .insert_header(("Allow", "GET, HEAD, OPTIONS"))
        .json(json!({
            "errcode": "M_UNRECOGNIZED",
            "error": "This page can only be read (GET)",
        }))
}
