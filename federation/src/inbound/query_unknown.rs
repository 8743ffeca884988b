//! `GET /_matrix/federation/v1/query/{queryType}`: server-server API, "Querying for information".

use actix_web::HttpResponse;

use crate::{ApiError, x_matrix::Signed};

/// Refuses a kind of question that nobody has defined.
pub(crate) async fn handle(_: Signed) -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found("There is no such kind of query"))
}
