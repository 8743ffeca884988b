//! The way out through a proxy: HTTP `CONNECT`, as networks want it that let nothing else out.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Uri};
use hyper_util::{
    client::legacy::connect::{HttpConnector, proxy::Tunnel},
    rt::TokioIo,
};
use percent_encoding::percent_decode_str;
use spec::discovery::Place;
use tokio::net::TcpStream;
use tower_service::Service as _;
use url::Url;

use super::error::ProxyError;

/// A proxy that all connections to others go through.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<Tunnel<HttpConnector>>);

impl Proxy {
    /// The proxy at `http://host:port` or `http://user:password@host:port`; user and password may be percent-encoded.
    /// `None` for anything else.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || !is_bare {
            return None;
        }
        let port = url.port_or_known_default()?;
        let place = uri("http", url.host_str()?, port)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let tunnel = Tunnel::new(place, connector);
        let password = url.password().unwrap_or_default();
        if url.username().is_empty() && password.is_empty() {
            return Some(Self(Arc::new(tunnel)));
        }
        let mut login = percent_decode_str(url.username()).collect::<Vec<u8>>();
        login.push(b':');
        login.extend(percent_decode_str(password));
        let login = format!("Basic {}", STANDARD.encode(login));
        let login = HeaderValue::from_str(&login).ok()?;
        Some(Self(Arc::new(tunnel.with_auth(login))))
    }

    /// A connection to a place, whose name the proxy looks up.
    ///
    /// # Errors
    /// The proxy cannot be reached, or refuses.
    pub(super) async fn connect(&self, place: &Place) -> Result<TcpStream, ProxyError> {
        let to = uri("https", &place.host.to_string(), place.port);
        let to = to.ok_or_else(|| format!("{place} is no place to connect to"))?;
        let mut tunnel = Tunnel::clone(&self.0);
        Ok(TokioIo::into_inner(tunnel.call(to).await?))
    }
}

fn uri(scheme: &str, host: &str, port: u16) -> Option<Uri> {
    let uri = Uri::builder().scheme(scheme).path_and_query("/");
    uri.authority(format!("{host}:{port}")).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_http_url_and_its_password_stays_hidden() {
        for (url, good) in [
            ("http://proxy.example.org:3128", true),
            ("http://user:p%40ss@[::1]:3128/", true),
            ("http://proxy.example.org", true),
            ("https://proxy.example.org:3128", false),
            ("socks5://proxy.example.org:1080", false),
            ("http://proxy.example.org:3128/path", false),
            ("proxy.example.org:3128", false),
            ("", false),
        ] {
            assert_eq!(Proxy::parse(url).is_some(), good, "{url}");
        }
        let proxy = Proxy::parse("http://user:hunter2@proxy.example.org:3128").unwrap();
        let shown = format!("{proxy:?}");
        let hidden = ["hunter2", &STANDARD.encode("user:hunter2")];
        assert!(!hidden.iter().any(|text| shown.contains(text)), "{shown}");
    }
}
