//! HTTPS to other servers: one request to one [`Target`], on a kept connection or a new one.
//!
//! Every address is looked up here, checked against the [`AddressFilter`] here and connected to here, so that
//! no second look-up can give another one; only where a [`Proxy`] does the looking up, that is the proxy's to do. The certificate must be the target's, wherever the DNS led.
//!
//! It speaks HTTP/1.1 only. Between two servers there is one transaction at a time and now and then a
//! question, for which a few connections do; and with HTTP/2 the name that is asked for would have to be the one
//! that was connected to, which delegation makes two different ones.

mod address;
mod connect;
mod dns;
mod error;
mod pool;
mod proxy;
mod trust;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use rustls_pki_types::CertificateDer;
use spec::discovery::Target;
use tokio::time::timeout;

pub(crate) use self::address::AddressFilter;
pub(crate) use self::dns::Dns;
use self::pool::{Key, Pool};
pub use self::{connect::Way, error::TransportError, proxy::Proxy, trust::TrustError};

/// One end of a connection that is ready for requests.
type Sender = SendRequest<Full<Bytes>>;

/// HTTPS to other servers.
pub(crate) struct Transport {
    dns: Dns,
    filter: AddressFilter,
    proxy: Option<Proxy>,
    tls: Arc<rustls::ClientConfig>,
    pool: Pool,
}

/// How much of time and memory a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From the look-up of the address to the last byte.
    pub(crate) time: Duration,
    /// The largest body of an answer, in bytes.
    pub(crate) body_bytes_max: usize,
}

/// A server that was connected to, for those who want to look and not to ask.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) way: Way,
    /// The certificate that it presented, in DER.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

impl Transport {
    /// Connections to public addresses and those of `filter`, all through `proxy` if there is one, to servers whose certificates are signed by an
    /// authority of the system or one of `authorities`.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub(crate) fn new(
        dns: Dns,
        filter: AddressFilter,
        proxy: Option<Proxy>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, TrustError> {
        Ok(Self {
            dns,
            filter,
            proxy,
            tls: Arc::new(trust::client_config(authorities)?),
            pool: Pool::default(),
        })
    }

    pub(crate) fn dns(&self) -> &Dns {
        &self.dns
    }

    /// Sends `request`, whose URI is path and query only, and reads the whole answer, whatever its status.
    ///
    /// A kept connection that turns out to be closed is replaced by a new one, once, as far as repeating
    /// the request does no harm. Dropping the future closes the connection.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub(crate) async fn send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let exchange = self.exchange(target, request, limits.body_bytes_max);
        match timeout(limits.time, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TransportError::Timeout(limits.time)),
        }
    }

    /// The same over plain HTTP, on a connection of its own: anybody on the way can read it and answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub(crate) async fn send_plain(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let exchange = async {
            let mut sender = self.open_plain(target).await?;
            let answer = sender.send_request(request).await?;
            whole(answer, limits.body_bytes_max).await
        };
        match timeout(limits.time, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TransportError::Timeout(limits.time)),
        }
    }

    /// Connects to the target and closes the connection again.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub(crate) async fn meet(
        &self,
        target: &Target,
        time: Duration,
    ) -> Result<Met, TransportError> {
        match timeout(time, self.dial(target)).await {
            Ok(Ok(dialled)) => Ok(Met {
                certificate: dialled.certificate(),
                way: dialled.way,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(TransportError::Timeout(time)),
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        body_bytes_max: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let key = Key::of(target);
        while let Some(mut kept) = self.pool.take(&key) {
            if kept.ready().await.is_err() {
                continue;
            }
            match kept.try_send_request(request.clone()).await {
                Ok(answer) => return self.read(key, kept, answer, body_bytes_max).await,
                Err(mut failed) => {
                    let unsent = failed.take_message().is_some();
                    if !unsent && request.method() == Method::POST {
                        return Err(TransportError::Http(failed.into_error()));
                    }
                }
            }
        }
        let mut sender = self.open(target).await?;
        let answer = sender.send_request(request).await?;
        self.read(key, sender, answer, body_bytes_max).await
    }

    /// Reads the body; after that the connection may serve others.
    async fn read(
        &self,
        key: Key,
        sender: Sender,
        answer: Response<Incoming>,
        body_bytes_max: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let answer = whole(answer, body_bytes_max).await?;
        self.pool.put(key, sender);
        Ok(answer)
    }
}

/// An answer with its body.
async fn whole(
    answer: Response<Incoming>,
    body_bytes_max: usize,
) -> Result<Response<Bytes>, TransportError> {
    let (head, mut body) = answer.into_parts();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if read.len() + data.len() > body_bytes_max {
            return Err(TransportError::TooLarge(body_bytes_max));
        }
        read.extend_from_slice(&data);
    }
    Ok(Response::from_parts(head, read.freeze()))
}
