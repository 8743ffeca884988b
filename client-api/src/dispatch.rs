//! The one entrance: finds the endpoint, runs it, and sees to what holds for every response (CORS, no panic gets out).

use std::{panic::AssertUnwindSafe, sync::Arc};

use actix_web::{
    FromRequest, Handler, HttpMessage as _, HttpRequest, HttpResponse, Responder,
    dev::Payload,
    http::{Method, StatusCode},
    web,
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};

use crate::{Shared, cors::add_cors_headers, error::ApiError, limits::Class, router::Found};

/// A handler with its extractors, erased.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// What a request costs against.
    pub(crate) class: Option<Class>,
    run: Arc<dyn Fn(HttpRequest, Payload) -> LocalBoxFuture<'static, HttpResponse> + Send + Sync>,
}

/// Where the request was routed to: in the extensions of every request that found an endpoint.
#[derive(Clone)]
pub struct Matched {
    /// The pattern of the path, for metrics and logs: no identifiers in it.
    pub pattern: Arc<str>,
    /// The variables of the path, decoded, in its order.
    pub(crate) arguments: Vec<(Arc<str>, String)>,
    pub(crate) class: Option<Class>,
}

impl Endpoint {
    /// An endpoint that runs `handler`.
    pub(crate) fn new<F, Args>(class: Option<Class>, handler: F) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest,
        F::Output: Responder,
    {
        let run = move |request: HttpRequest, mut payload: Payload| {
            let handler = handler.clone();
            async move {
                // Reading the request and carrying it out have the heap each for its own time: what waits has to be small.
                let arguments = Box::pin(Args::from_request(&request, &mut payload)).await;
                match arguments.map(|arguments| Box::pin(handler.call(arguments))) {
                    Ok(answer) => answer.await.respond_to(&request).map_into_boxed_body(),
                    Err(error) => HttpResponse::from_error(error),
                }
            }
            .boxed_local()
        };
        Self {
            class,
            run: Arc::new(run),
        }
    }
}

/// Answers one request.
pub(crate) async fn dispatch(
    shared: web::Data<Shared>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let payload = payload.into_inner();
    let mut response = if request.method() == Method::OPTIONS {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        match shared.router.find(request.method(), request.uri().path()) {
            Found::Endpoint {
                endpoint,
                pattern,
                arguments,
            } => {
                let matched = Matched {
                    pattern,
                    arguments,
                    class: endpoint.class,
                };
                request.extensions_mut().insert(matched);
                let run = Arc::clone(&endpoint.run);
                AssertUnwindSafe(async move { run(request, payload).await })
                    .catch_unwind()
                    .await
                    // The panic hook has logged it with its place.
                    .unwrap_or_else(|_| ApiError::failure().into_response())
            }
            Found::OtherMethods(allowed) => {
                refuse(ApiError::method_not_allowed(&allowed), payload).await
            }
            Found::Nothing => refuse(ApiError::unrecognized(), payload).await,
        }
    };
    add_cors_headers(response.headers_mut());
    response
}

/// Answers what no API knows, for the prefixes of Matrix that nobody else serves: 404 `M_UNRECOGNIZED`.
pub async fn unrecognized(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let mut response = if request.method() == Method::OPTIONS {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        refuse(ApiError::unrecognized(), payload.into_inner()).await
    };
    add_cors_headers(response.headers_mut());
    response
}

async fn refuse(error: ApiError, mut payload: Payload) -> HttpResponse {
    crate::extract::drain(&mut payload).await;
    error.into_response()
}
