//! From a target to a connection: addresses, the filter, TCP, TLS, HTTP.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use spec::discovery::{Host, Place, Target};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tracing::debug;

use super::{Sender, Transport, TransportError, proxy::Proxy};

/// How long one address gets for TCP, a proxy and TLS, before the next is tried.
const ADDRESS_TIME: Duration = Duration::from_secs(6);

/// How many addresses are tried.
const ADDRESSES_MAX: usize = 6;

/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The way to another server.
#[derive(Debug, Clone)]
pub enum Way {
    /// Straight to an address.
    Direct(SocketAddr),
    /// Through a proxy, which knows where that is.
    Proxied(Proxy, Place),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => address.fmt(f),
            Self::Proxied(_, place) => write!(f, "{place} behind the proxy"),
        }
    }
}

/// A proven connection, before any HTTP.
pub(super) struct Dialled {
    pub(super) way: Way,
    stream: TlsStream<TcpStream>,
}

impl Dialled {
    /// The certificate of the other side.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        let chain = self.stream.get_ref().1.peer_certificates()?;
        chain.first().map(|first| first.clone().into_owned())
    }
}

impl Transport {
    /// A new connection for requests.
    pub(super) async fn open(&self, target: &Target) -> Result<Sender, TransportError> {
        let dialled = self.dial(target).await?;
        speak(dialled.way, dialled.stream).await
    }

    /// A new connection for requests that proves nothing and hides nothing.
    pub(super) async fn open_plain(&self, target: &Target) -> Result<Sender, TransportError> {
        let mut failure = None;
        for place in &target.places {
            for way in self.ways(place).await?.into_iter().take(ADDRESSES_MAX) {
                let reached = timeout(ADDRESS_TIME, self.reach(&way)).await;
                match reached.unwrap_or_else(|_| Err(timed_out(&way))) {
                    Ok(tcp) => return speak(way, tcp).await,
                    Err(error) => failure = Some(error),
                }
            }
        }
        Err(failure.unwrap_or_else(|| TransportError::NoAddress(target.authority.clone())))
    }

    /// Connects to the first place that answers and proves to be the target.
    pub(super) async fn dial(&self, target: &Target) -> Result<Dialled, TransportError> {
        let mut failure = None;
        let mut tried = 0;
        for place in &target.places {
            let ways = match self.ways(place).await {
                Ok(ways) => ways,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            for way in ways {
                if tried >= ADDRESSES_MAX {
                    break;
                }
                tried += 1;
                match self.dial_way(&way, &target.certificate).await {
                    Ok(stream) => return Ok(Dialled { way, stream }),
                    Err(error) => {
                        debug!(%way, %error, "another server cannot be reached at an address");
                        failure = Some(error);
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| TransportError::NoAddress(target.authority.clone())))
    }

    /// How to get to a place.
    async fn ways(&self, place: &Place) -> Result<Vec<Way>, TransportError> {
        if let Some(proxy) = &self.proxy {
            self.check_behind_proxy(&place.host).await?;
            return Ok(vec![Way::Proxied(proxy.clone(), place.clone())]);
        }
        let addresses = self.addresses(place).await?;
        Ok(addresses.into_iter().map(Way::Direct).collect())
    }

    /// Refuses a host all the same that is known here to be where we must not connect. Where names cannot be looked up, as
    /// in many a network with a proxy, only the proxy knows.
    async fn check_behind_proxy(&self, host: &Host) -> Result<(), TransportError> {
        let known = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.dns.addresses(name).await.unwrap_or_default(),
        };
        // Which of them it takes is up to the proxy.
        match known.into_iter().find(|known| !self.filter.permits(*known)) {
            Some(address) => Err(TransportError::Forbidden { address }),
            None => Ok(()),
        }
    }

    /// Where a place is, without the addresses that we must not connect to.
    async fn addresses(&self, place: &Place) -> Result<Vec<SocketAddr>, TransportError> {
        let found = match &place.host {
            Host::Address(address) => vec![*address],
            Host::Name(host) => self.named(host).await?,
        };
        let (permitted, refused): (Vec<IpAddr>, Vec<IpAddr>) = found
            .into_iter()
            .partition(|address| self.filter.permits(*address));
        match (permitted.first(), refused.first()) {
            (Some(_), _) => Ok(permitted
                .into_iter()
                .map(|address| SocketAddr::new(address, place.port))
                .collect()),
            (None, Some(&address)) => Err(TransportError::Forbidden { address }),
            (None, None) => Err(TransportError::NoAddress(place.host.to_string())),
        }
    }

    async fn named(&self, host: &str) -> Result<Vec<IpAddr>, TransportError> {
        let found = self.dns.addresses(host).await;
        found.map_err(|source| TransportError::Lookup {
            host: host.to_owned(),
            source,
        })
    }

    async fn dial_way(
        &self,
        way: &Way,
        certificate: &Host,
    ) -> Result<TlsStream<TcpStream>, TransportError> {
        let name = match certificate {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| TransportError::NoAddress(name.clone()))?,
        };
        let dialling = async {
            let tcp = self.reach(way).await?;
            let tls = TlsConnector::from(self.tls.clone());
            tls.connect(name, tcp)
                .await
                .map_err(|source| TransportError::Tls {
                    way: way.clone(),
                    name: certificate.to_string(),
                    source,
                })
        };
        let dialled = timeout(ADDRESS_TIME, dialling).await;
        dialled.unwrap_or_else(|_| Err(timed_out(way)))
    }

    async fn reach(&self, way: &Way) -> Result<TcpStream, TransportError> {
        let address = match way {
            Way::Direct(address) => address,
            Way::Proxied(proxy, place) => {
                let connected = proxy.connect(place).await;
                return connected.map_err(|source| TransportError::Proxy {
                    place: place.clone(),
                    source,
                });
            }
        };
        let connected = TcpStream::connect(address).await;
        let tcp = connected.map_err(|source| TransportError::Connect {
            way: way.clone(),
            source,
        })?;
        // Requests are small and answers are waited for. A socket that refuses this still works.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }
}

/// Begins to speak HTTP.
async fn speak(
    way: Way,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, TransportError> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await?;
    // It ends when the other side closes it, or when the last sender is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%way, %error, "a connection to another server ended");
        }
    });
    Ok(sender)
}

fn timed_out(way: &Way) -> TransportError {
    TransportError::Connect {
        way: way.clone(),
        source: io::ErrorKind::TimedOut.into(),
    }
}

#[cfg(test)]
mod tests {
    use spec::discovery::{Next, Resolution, Srv};
    use tokio::net::TcpListener;

    use super::*;
    use crate::transport::{AddressFilter, Dns};

    /// Server-server API, "Resolving server names": of several services in the order of their priorities, and on to the next
    /// where one does not answer, or not as the server.
    #[tokio::test]
    async fn where_one_service_does_not_answer_the_next_is_tried() {
        let listen = async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            (listener, port)
        };
        let (mute, mute_port) = listen().await;
        let (last, last_port) = listen().await;
        let (gone, gone_port) = listen().await;
        drop(gone);
        let record = |priority, port| Srv {
            priority,
            weight: 0,
            port,
            target: "localhost".to_owned(),
        };
        let records = vec![
            record(30, last_port),
            record(10, gone_port),
            record(20, mute_port),
        ];
        let resolution = Resolution::of("example.org").unwrap().well_known(None);
        let Next::Found(target) = resolution.services(records, |_| 0).next() else {
            panic!("there are services");
        };
        let filter = AddressFilter::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let transport = Transport::new(Dns::from_system(), filter, None, &[]).unwrap();
        // Neither is the server, nor speaks TLS.
        let answering = async {
            for listener in [&mute, &last] {
                drop(listener.accept().await.unwrap());
            }
        };
        let (dialled, ()) = tokio::join!(transport.dial(&target), answering);
        let error = dialled.err().expect("nobody is the server");
        assert!(
            matches!(&error, TransportError::Tls { way: Way::Direct(to), .. } if to.port() == last_port),
            "{error:?}"
        );
    }
}
