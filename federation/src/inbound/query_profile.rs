//! `GET /_matrix/federation/v1/query/profile`: server-server API, "Querying for information".

use actix_web::{HttpResponse, web};
use engine::{Error, Subject, account::Accounts, profile::Fields};

use super::user_id;
use crate::{ApiError, Shared, params::Params, x_matrix::Signed};

/// The profile of a user of this server, or one field of it.
pub(crate) async fn handle(
    accounts: web::Data<Accounts>,
    shared: web::Data<Shared>,
    params: Params,
    _: Signed,
) -> Result<HttpResponse, ApiError> {
    let user = user_id(params.required("user_id")?)?;
    if user.server_name() != shared.server_name() {
        return Err(Error::NotFound(Subject::User).into());
    }
    let fields = match params.one("field") {
        None => accounts.profile(&user).await?,
        Some(field) => {
            let value = accounts.profile_field(&user, field).await?;
            Fields::from([(field.to_owned(), value)])
        }
    };
    // Custom fields may hold numbers that events may not.
    Ok(HttpResponse::Ok().json(fields))
}
