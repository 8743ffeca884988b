//! Push gateways, push gateway API, `POST /_matrix/push/v1/notify`, and the push services of browsers, RFC 8030. They are reached as other servers are: over HTTPS, at
//! public addresses and those that the operator allows, without following redirects.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engine::{GatewayFailure, Gateways, PushService, WebPush};
use futures_util::future::BoxFuture;
use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT},
    request::Builder,
};
use http_body_util::Full;
use spec::discovery::Target;
use tokio::runtime::Handle;
use url::Url;

use crate::{
    Settings,
    client::AGENT,
    discovery::{anywhere, target},
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
    /// Whether gateways of plain HTTP are told as well.
    plain: bool,
    /// Where the connections live.
    runtime: Handle,
}

impl HttpGateways {
    pub(crate) fn new(transport: Arc<Transport>, settings: &Settings, runtime: Handle) -> Self {
        Self {
            transport,
            plain: settings.plain_push_gateways,
            runtime,
        }
    }
}

impl Gateways for HttpGateways {
    fn notify(&self, url: String, body: String) -> BoxFuture<'_, Result<Vec<u8>, GatewayFailure>> {
        let transport = Arc::clone(&self.transport);
        let posted = self.runtime.spawn(post(transport, self.plain, url, body));
        Box::pin(async move {
            posted
                .await
                .unwrap_or_else(|error| Err(GatewayFailure(error.to_string())))
        })
    }

    fn push_to_browser(&self, push: WebPush) -> BoxFuture<'_, Result<PushService, GatewayFailure>> {
        let transport = Arc::clone(&self.transport);
        let posted = self.runtime.spawn(post_to_browser(transport, push));
        Box::pin(async move {
            posted
                .await
                .unwrap_or_else(|error| Err(GatewayFailure(error.to_string())))
        })
    }
}

async fn post(
    transport: Arc<Transport>,
    plain: bool,
    url: String,
    body: String,
) -> Result<Vec<u8>, GatewayFailure> {
    let with = |request: Builder| request.header(CONTENT_TYPE, "application/json");
    let is_plain = Url::parse(&url).is_ok_and(|url| url.scheme() == "http");
    let answer = match plain && is_plain {
        true => send_plain(&transport, &url, with, body.into()).await?,
        false => send(&transport, &url, with, body.into()).await?,
    };
    if !answer.status().is_success() {
        return Err(refusal(answer.status()));
    }
    Ok(answer.into_body().to_vec())
}

/// RFC 8030, sections 5 and 7.3.
async fn post_to_browser(
    transport: Arc<Transport>,
    push: WebPush,
) -> Result<PushService, GatewayFailure> {
    let with = |request: Builder| {
        request
            .header(AUTHORIZATION, &push.authorization)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_ENCODING, "aes128gcm")
            .header("ttl", push.keep_s)
            .header("urgency", push.urgency)
    };
    let answer = send(&transport, &push.url, with, push.body.into()).await?;
    match answer.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(PushService::Gone),
        status if status.is_success() => Ok(PushService::Taken),
        status => Err(refusal(status)),
    }
}

async fn send(
    transport: &Transport,
    url: &str,
    with: impl FnOnce(Builder) -> Builder,
    body: Bytes,
) -> Result<Response<Bytes>, GatewayFailure> {
    let (target, request) = request(url, target, with, body)?;
    let answer = transport.send(&target, request, LIMITS).await;
    answer.map_err(|error| GatewayFailure(error.to_string()))
}

/// The same over plain HTTP.
async fn send_plain(
    transport: &Transport,
    url: &str,
    with: impl FnOnce(Builder) -> Builder,
    body: Bytes,
) -> Result<Response<Bytes>, GatewayFailure> {
    let (target, request) = request(url, anywhere, with, body)?;
    let answer = transport.send_plain(&target, request, LIMITS).await;
    answer.map_err(|error| GatewayFailure(error.to_string()))
}

fn request(
    url: &str,
    target: fn(&Url) -> Option<Target>,
    with: impl FnOnce(Builder) -> Builder,
    body: Bytes,
) -> Result<(Target, Request<Full<Bytes>>), GatewayFailure> {
    let nowhere = || GatewayFailure(format!("{url} leads nowhere"));
    let url = Url::parse(url).map_err(|_| nowhere())?;
    let target = target(&url).ok_or_else(nowhere)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::post(path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT);
    let request = with(request).body(Full::new(body)).map_err(|_| nowhere())?;
    Ok((target, request))
}

fn refusal(status: StatusCode) -> GatewayFailure {
    GatewayFailure(format!("it answers {status}"))
}
