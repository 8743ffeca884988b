//! Push gateways: push gateway API, `POST /_matrix/push/v1/notify`. They are reached as other servers are: over HTTPS, at
//! public addresses and those that the operator allows, without following redirects.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engine::{GatewayFailure, Gateways};
use futures_util::future::BoxFuture;
use http::{
    Request,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::Full;
use tokio::runtime::Handle;
use url::Url;

use crate::{
    client::AGENT,
    discovery::target,
    transport::{Limits, Transport},
};

/// What a gateway's answer may take. It holds but the keys that it does not know.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(20),
    body_bytes_max: 64 * 1024,
};

/// The way to push gateways.
pub(crate) struct HttpGateways {
    transport: Arc<Transport>,
    /// Where the connections live.
    runtime: Handle,
}

impl HttpGateways {
    pub(crate) fn new(transport: Arc<Transport>, runtime: Handle) -> Self {
        Self { transport, runtime }
    }
}

impl Gateways for HttpGateways {
    fn notify(&self, url: String, body: String) -> BoxFuture<'_, Result<Vec<u8>, GatewayFailure>> {
        let transport = Arc::clone(&self.transport);
        let posted = self.runtime.spawn(post(transport, url, body));
        Box::pin(async move {
            posted
                .await
                .unwrap_or_else(|error| Err(GatewayFailure(error.to_string())))
        })
    }
}

async fn post(
    transport: Arc<Transport>,
    url: String,
    body: String,
) -> Result<Vec<u8>, GatewayFailure> {
    let nowhere = || GatewayFailure(format!("{url} leads nowhere"));
    let url = Url::parse(&url).map_err(|_| nowhere())?;
    let target = target(&url).ok_or_else(nowhere)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::post(path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| nowhere())?;
    let answer = transport.send(&target, request, LIMITS).await;
    let answer = answer.map_err(|error| GatewayFailure(error.to_string()))?;
    if !answer.status().is_success() {
        return Err(GatewayFailure(format!("it answers {}", answer.status())));
    }
    Ok(answer.into_body().to_vec())
}
