//! One request and its answer, which is held against `spec/api` in passing.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use reqwest::{Method, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{api::Api, server::Connection};

/// A request that is not sent yet; awaiting it sends it. `T` is the shape of a good answer.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<T = Value> {
    connection: Arc<Connection>,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    content_type: &'static str,
    token: Option<String>,
    authorization: Option<String>,
    /// Whether parts of events may come, as the filter wants; `spec/api` describes whole ones.
    in_parts: bool,
    shape: PhantomData<fn() -> T>,
}

/// What the server said.
#[must_use = "say what is expected: ok() or refused()"]
pub struct Answer<T = Value> {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub bytes: Vec<u8>,
    /// The request, for messages.
    asked: String,
    /// Whether it is our server's.
    ours: bool,
    shape: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    /// A request without body and token.
    pub fn new(connection: &Arc<Connection>, method: Method, path: impl Into<String>) -> Self {
        Self {
            connection: Arc::clone(connection),
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            content_type: "application/json",
            token: None,
            authorization: None,
            in_parts: false,
            shape: PhantomData,
        }
    }

    /// With an answer that may hold parts of events: what is in a good one is not held against its description.
    pub fn for_parts(mut self) -> Self {
        self.in_parts = true;
        self
    }

    /// With another method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string())
    }

    /// With any body.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With another `Content-Type` than `application/json`.
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// With one more query parameter.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// With this access token.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// With this `Authorization` header.
    pub fn authorization(mut self, value: impl Into<String>) -> Self {
        self.authorization = Some(value.into());
        self
    }

    /// Without any access token.
    pub fn anonymous(mut self) -> Self {
        self.token = None;
        self
    }

    /// The same request with another shape of answer.
    pub fn answering<U>(self) -> Call<U> {
        let Self {
            connection,
            method,
            path,
            query,
            body,
            content_type,
            token,
            authorization,
            in_parts,
            shape: _,
        } = self;
        Call {
            connection,
            method,
            path,
            query,
            body,
            content_type,
            token,
            authorization,
            in_parts,
            shape: PhantomData,
        }
    }

    /// Sends it and checks the answer against its description; `Err` where no answer came.
    ///
    /// # Panics
    /// If the answer is not as described.
    pub async fn attempt(self) -> reqwest::Result<Answer<T>> {
        let (connection, method, path) = (
            Arc::clone(&self.connection),
            self.method.clone(),
            self.path.clone(),
        );
        let in_parts = self.in_parts;
        let answer = self.exchange().await?;
        answer.check(&connection, method.as_str(), &path, in_parts);
        Ok(answer)
    }

    /// Sends it, and holds the answer against its description only where it is our server's: for input at which
    /// others fail.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn leniently(self) -> Answer<T> {
        let asked = format!("{} {}", self.method, self.path);
        let answer = if self.connection.ours {
            self.attempt().await
        } else {
            self.exchange().await
        };
        answer.unwrap_or_else(|error| panic!("{asked}: no answer: {error:?}"))
    }

    async fn exchange(self) -> reqwest::Result<Answer<T>> {
        let asked = format!("{} {}", self.method, self.path);
        let url = format!("{}{}", self.connection.base(), self.path);
        let mut request = self.connection.http.request(self.method, url);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        if let Some(body) = self.body {
            request = request.header("content-type", self.content_type).body(body);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().await?.to_vec();
        let ours = self.connection.ours;
        Ok(Answer {
            status,
            headers,
            bytes,
            asked,
            ours,
            shape: PhantomData,
        })
    }
}

impl<T: 'static> IntoFuture for Call<T> {
    type Output = Answer<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let asked = format!("{} {}", self.method, self.path);
        Box::pin(async move {
            self.attempt()
                .await
                .unwrap_or_else(|error| panic!("{asked}: no answer: {error:?}"))
        })
    }
}

impl<T> Answer<T> {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The Matrix error code, if the body has one.
    #[must_use]
    pub fn errcode(&self) -> Option<String> {
        self.json()["errcode"].as_str().map(str::to_owned)
    }

    /// The body of a refusal.
    ///
    /// # Panics
    /// If it is another status or error code.
    #[track_caller]
    pub fn refused(self, status: u16, errcode: &str) -> Value {
        let found = (self.status, self.errcode());
        assert!(
            found == (status, Some(errcode.to_owned())),
            "{}: {status} {errcode} expected, but it is {}",
            self.asked,
            self.summary()
        );
        self.json()
    }

    /// The body of a refusal that other servers word in another way: exactly this from ours, and any 4xx from others.
    ///
    /// # Panics
    /// If it is another status or error code.
    #[track_caller]
    pub fn refused_by_us(self, status: u16, errcode: &str) -> Value {
        if self.ours {
            return self.refused(status, errcode);
        }
        assert!(
            (400..500).contains(&self.status),
            "{}: a refusal expected, but it is {}",
            self.asked,
            self.summary()
        );
        self.json()
    }

    /// One line on the answer, for messages.
    #[must_use]
    pub fn summary(&self) -> String {
        let body = String::from_utf8_lossy(&self.bytes);
        let start: String = body.chars().take(600).collect();
        format!("{} {start}", self.status)
    }

    /// Holds the answer against `spec/api` and what all answers have in common.
    fn check(&self, connection: &Connection, method: &str, path: &str, in_parts: bool) {
        let api = Api::get();
        let complain =
            |complaint: String| panic!("{}: {complaint}\n  in {}", self.asked, self.summary());
        let header = |name| {
            self.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let matrix = path.starts_with("/_matrix/") || path.starts_with("/.well-known/matrix/");
        if matrix && header("access-control-allow-origin") != "*" {
            complain("no CORS headers".to_owned());
        }
        let outcome = match api.find(method, path) {
            Some(operation) => {
                connection.coverage.record(operation, self.status);
                if in_parts && self.status == 200 {
                    return;
                }
                api.check(operation, self.status, header("content-type"), &self.bytes)
            }
            // Unknown paths and methods are refused in the common form.
            None if matrix && self.status >= 400 => api.check_error(&self.json()),
            // What other servers have beyond ours is their affair.
            None if self.ours && self.status < 300 && !matches!(method, "OPTIONS" | "HEAD") => {
                Err("an operation that spec/api does not describe".to_owned())
            }
            None => Ok(()),
        };
        if let Err(complaint) = outcome {
            complain(complaint);
        }
    }
}

impl<T: DeserializeOwned> Answer<T> {
    /// The body of a good answer.
    ///
    /// # Panics
    /// If it is no 200, or of another shape.
    #[track_caller]
    pub fn ok(self) -> T {
        assert!(
            self.status == 200,
            "{}: 200 expected, but it is {}",
            self.asked,
            self.summary()
        );
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{}: {error}\n  in {}", self.asked, self.summary()))
    }
}
