//! The one entrance: finds the endpoint, runs it, and sees to what holds for every response (CORS, no panic gets out).

use std::{panic::AssertUnwindSafe, sync::Arc};

use actix_web::{
    FromRequest, Handler, HttpMessage as _, HttpRequest, HttpResponse, Responder,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    web,
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};

use crate::{Shared, cors::add_cors_headers, error::ApiError, limits::Class, router::Found};

/// A handler with its extractors, erased.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// What a request costs against.
    pub(crate) class: Option<Class>,
    run: Arc<Run>,
}

type Run = dyn for<'a> Fn(&'a mut ServiceRequest) -> LocalBoxFuture<'a, HttpResponse> + Send + Sync;

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
        Self::running(class, handler, |_| {})
    }

    /// An endpoint that lets its clients wait. None of the handler's arguments may hold the request: its headers are let go
    /// once they are read, some 7 KiB however few there are.
    pub(crate) fn waiting<F, Args>(class: Option<Class>, handler: F) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest,
        F::Output: Responder,
    {
        let let_go = |request: &mut ServiceRequest| *request.headers_mut() = HeaderMap::new();
        Self::running(class, handler, let_go)
    }

    /// `once_read` is called when the arguments are there.
    fn running<F, Args>(
        class: Option<Class>,
        handler: F,
        once_read: fn(&mut ServiceRequest),
    ) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest,
        F::Output: Responder,
    {
        let run = erased(move |request| {
            let handler = handler.clone();
            async move {
                let (asked, payload) = request.parts_mut();
                // Reading the request and carrying it out have the heap each for its own time: what waits has to be small.
                let arguments = Box::pin(Args::from_request(asked, payload)).await;
                match arguments.map(|arguments| Box::pin(handler.call(arguments))) {
                    Ok(answer) => {
                        once_read(request);
                        let answer = answer.await.respond_to(request.request());
                        answer.map_into_boxed_body()
                    }
                    Err(error) => HttpResponse::from_error(error),
                }
            }
            .boxed_local()
        });
        Self { class, run }
    }
}

fn erased<R>(run: R) -> Arc<Run>
where
    R: for<'a> Fn(&'a mut ServiceRequest) -> LocalBoxFuture<'a, HttpResponse>,
    R: Send + Sync + 'static,
{
    Arc::new(run)
}

/// Answers one request.
///
/// # Errors
/// None.
pub(crate) async fn dispatch(mut request: ServiceRequest) -> actix_web::Result<ServiceResponse> {
    let mut response = if request.method() == Method::OPTIONS {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        answer(&mut request).await
    };
    add_cors_headers(response.headers_mut());
    Ok(request.into_response(response))
}

async fn answer(request: &mut ServiceRequest) -> HttpResponse {
    let Some(shared) = request.app_data::<web::Data<Shared>>().cloned() else {
        return ApiError::failure().into_response();
    };
    match shared.router.find(request.method(), request.path()) {
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
            let run = AssertUnwindSafe(async { (endpoint.run)(request).await });
            // The panic hook has logged it with its place.
            let answered = run.catch_unwind().await;
            answered.unwrap_or_else(|_| ApiError::failure().into_response())
        }
        Found::OtherMethods(allowed) => {
            let payload = request.take_payload();
            refuse(ApiError::method_not_allowed(&allowed), payload).await
        }
        Found::Nothing => refuse(ApiError::unrecognized(), request.take_payload()).await,
    }
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
