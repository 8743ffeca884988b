//! Identity servers, reached by the same filtered connections as other servers: identity service API, version 2.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engine::third_party::{IdentityAnswer, IdentityError, IdentityServers};
use http::{
    Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::Full;
use ruma::ServerName;
use spec::json::{Object, Strictness, Value, encode_object, parse_object};
use tokio::runtime::Handle;
use url::Url;

use crate::{
    client::AGENT,
    discovery::target,
    transport::{Limits, Transport},
};

/// What an answer may take: somebody waits for it, and each is a few keys.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(10),
    body_bytes_max: 64 * 1024,
};

/// The most characters that are kept of an identity server's sentence.
const SENTENCE_CHARS_MAX: usize = 300;

/// The way to identity servers.
pub(crate) struct HttpIdentity {
    transport: Arc<Transport>,
    /// Where the connections live.
    runtime: Handle,
}

/// One request.
struct Ask {
    method: Method,
    url: Url,
    token: Option<String>,
    body: Option<Object>,
}

impl HttpIdentity {
    pub(crate) fn new(transport: Arc<Transport>, runtime: Handle) -> Self {
        Self { transport, runtime }
    }

    fn ask<'a>(&self, ask: Result<Ask, IdentityError>) -> IdentityAnswer<'a, Object> {
        let transport = Arc::clone(&self.transport);
        let asked = self
            .runtime
            .spawn(async move { exchange(&transport, ask?).await });
        Box::pin(async move {
            let answer = asked.await;
            answer.unwrap_or_else(|error| Err(IdentityError::Unreachable(error.to_string())))
        })
    }
}

/// A request with a user's token.
fn authorized(
    server: &ServerName,
    operation: &str,
    token: &str,
    body: Option<Object>,
) -> Result<Ask, IdentityError> {
    let url = format!("https://{server}/_matrix/identity/v2/{operation}");
    Ok(Ask {
        method: body.as_ref().map_or(Method::GET, |_| Method::POST),
        url: Url::parse(&url).map_err(|_| nowhere())?,
        token: Some(token.to_owned()),
        body,
    })
}

/// The question at a URL that somebody has put into a room: only what is asked for is added to it.
fn validity(url: &str, public_key: &str) -> Result<Ask, IdentityError> {
    let mut url = Url::parse(url).map_err(|_| nowhere())?;
    url.query_pairs_mut().append_pair("public_key", public_key);
    Ok(Ask {
        method: Method::GET,
        url,
        token: None,
        body: None,
    })
}

impl IdentityServers for HttpIdentity {
    fn hash_details<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
    ) -> IdentityAnswer<'a, Object> {
        self.ask(authorized(server, "hash_details", token, None))
    }

    fn lookup<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
        body: Object,
    ) -> IdentityAnswer<'a, Object> {
        self.ask(authorized(server, "lookup", token, Some(body)))
    }

    fn store_invite<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
        body: Object,
    ) -> IdentityAnswer<'a, Object> {
        self.ask(authorized(server, "store-invite", token, Some(body)))
    }

    fn is_valid<'a>(&'a self, url: &'a str, public_key: &'a str) -> IdentityAnswer<'a, bool> {
        let answer = self.ask(validity(url, public_key));
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.get("valid").and_then(Value::as_bool) == Some(true))
        })
    }
}

fn nowhere() -> IdentityError {
    unreachable("the address leads nowhere")
}

fn unreachable(why: impl ToString) -> IdentityError {
    IdentityError::Unreachable(why.to_string())
}

async fn exchange(transport: &Transport, ask: Ask) -> Result<Object, IdentityError> {
    let Ask {
        method,
        url,
        token,
        body,
    } = ask;
    let target = target(&url).ok_or_else(nowhere)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map(|body| encode_object(&body)).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body)));
    let request = request.map_err(|_| nowhere())?;
    let answer = transport.send(&target, request, LIMITS).await;
    let answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let parsed = parse_object(answer.body(), Strictness::Lenient);
    if status.is_success() {
        return parsed.map_err(unreachable);
    }
    if !status.is_client_error() {
        return Err(unreachable(format!("it answers {status}")));
    }
    let body = parsed.unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let sentence = text("error").unwrap_or("without a reason").chars();
    Err(IdentityError::Refused {
        status: status.as_u16(),
        errcode: text("errcode").unwrap_or("M_UNKNOWN").to_owned(),
        error: sentence.take(SENTENCE_CHARS_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::validity;

    #[test]
    fn the_key_is_asked_for_where_the_room_says() {
        let url = |url, key| validity(url, key).map(|ask| ask.url.to_string()).ok();
        assert_eq!(
            url("https://id.example/isvalid?a=b", "a+b/c"),
            Some("https://id.example/isvalid?a=b&public_key=a%2Bb%2Fc".to_owned())
        );
        assert_eq!(url("no url", "abc"), None);
    }
}
