//! A successful answer on its way out.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{StatusCode, header},
};
use ruma::api::{OutgoingResponse, OutgoingResponseExt as _};

use crate::error::ApiError;

/// A ruma response as an HTTP response, with its status, headers and JSON body.
pub(crate) struct Reply<T>(pub(crate) T);

impl<T: OutgoingResponse> Responder for Reply<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let response = match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response,
            Err(cause) => return ApiError::internal(&cause).into_response(),
        };
        let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::OK);
        let mut builder = HttpResponse::build(status);
        for (name, value) in response.headers() {
            builder.insert_header((name.as_str(), value.as_bytes()));
        }
        if !response.headers().contains_key("content-type") {
            builder.insert_header((header::CONTENT_TYPE, "application/json"));
        }
        builder.body(response.into_body())
    }
}

/// Any JSON value as a 200, for the few endpoints that ruma does not know.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: serde::Serialize> Responder for Json<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match serde_json::to_vec(&self.0) {
            Ok(body) => HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, "application/json"))
                .body(body),
            Err(cause) => ApiError::internal(&cause).into_response(),
        }
    }
}

/// JSON that is written already, as a 200.
pub(crate) struct Written(pub(crate) Vec<u8>);

impl Responder for Written {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .body(self.0)
    }
}
