//! The listeners: for clients, and for other servers where they have one of their own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use client_api::ClientApi;
use federation::Federation;
use tokio::task::JoinSet;
use tracing::info;

use super::{Error, cores};
use crate::config::Config;
use crate::http::{self, Configure, Listener};
use crate::tls;
use crate::web::{self, Site};

/// What is served.
pub(super) struct Apis {
    pub(super) client: ClientApi,
    pub(super) federation: Federation,
    pub(super) site: Data<Site>,
}

impl Apis {
    /// Everything: other servers are answered on the client listener too.
    fn for_clients(&self) -> Configure {
        let (client, federation) = (self.client.clone(), self.federation.clone());
        let site = self.site.clone();
        Arc::new(move |routes| {
            client.configure(routes);
            federation.configure(routes);
            web::configure_client(routes, &site);
        })
    }

    fn for_servers(&self) -> Configure {
        let (federation, site) = (self.federation.clone(), self.site.clone());
        Arc::new(move |routes| {
            federation.configure(routes);
            web::configure_federation(routes, &site);
        })
    }
}

/// The running listeners.
pub(super) struct Listeners {
    client: Vec<SocketAddr>,
    federation: Vec<SocketAddr>,
    handles: Vec<ServerHandle>,
    running: JoinSet<io::Result<()>>,
}

impl Listeners {
    /// Binds all listeners and starts to answer.
    ///
    /// # Errors
    /// An address that cannot be had, a certificate that cannot be used.
    pub(super) fn bind(config: &Config, apis: &Apis) -> Result<Self, Error> {
        let workers = match config.server.workers.0 {
            0 => cores(),
            count => usize::try_from(count).unwrap_or(usize::MAX),
        };
        let mut listeners = Self {
            client: Vec::new(),
            federation: Vec::new(),
            handles: Vec::new(),
            running: JoinSet::new(),
        };
        let client = Listener {
            addresses: &config.client.addresses,
            tls: tls::optional(&config.client.tls_cert, &config.client.tls_key)?,
            behind_proxy: config.client.behind_proxy,
            workers,
        };
        listeners.client = listeners.start(client, &apis.for_clients())?;

        let section = &config.federation_listener;
        if !section.addresses.is_empty() {
            let federation = Listener {
                addresses: &section.addresses,
                tls: tls::optional(&section.tls_cert, &section.tls_key)?,
                behind_proxy: section.behind_proxy,
                workers,
            };
            listeners.federation = listeners.start(federation, &apis.for_servers())?;
        }
        Ok(listeners)
    }

    /// Where clients connect.
    pub(super) fn client(&self) -> &[SocketAddr] {
        &self.client
    }

    /// Where other servers connect, besides there.
    pub(super) fn federation(&self) -> &[SocketAddr] {
        &self.federation
    }

    fn start(
        &mut self,
        listener: Listener<'_>,
        configure: &Configure,
    ) -> Result<Vec<SocketAddr>, Error> {
        let bound = http::bind(listener, configure)?;
        self.handles.push(bound.server.handle());
        self.running.spawn(bound.server);
        Ok(bound.addresses)
    }

    /// Serves until `asked` resolves to the reason for stopping.
    ///
    /// # Errors
    /// [`Error::Serve`]: a listener ended by itself.
    pub(super) async fn serve_until(
        &mut self,
        asked: impl Future<Output = &'static str>,
    ) -> Result<(), Error> {
        tokio::select! {
            signal = asked => {
                info!(signal, "stopping: requests in flight are answered first");
                Ok(())
            }
            Some(ended) = self.running.join_next() => match ended {
                Ok(Err(failure)) => Err(Error::Serve(failure)),
                Ok(Ok(())) | Err(_) => Err(Error::Serve(io::Error::other("it ended by itself"))),
            },
        }
    }

    /// Lets requests in flight finish, then closes all connections.
    pub(super) async fn drain(mut self) {
        for handle in &self.handles {
            // The call gives the order; what its future waits for is waited for below.
            drop(handle.stop(true));
        }
        while self.running.join_next().await.is_some() {}
    }
}
