//! `GET /_matrix/federation/v1/query/profile`: server-server API, "Querying for information".

use actix_web::{HttpResponse, web};
use engine::{Error, Subject, account::Accounts};
use spec::json::{Object, Strictness, parse_object};

use super::{answer, user_id};
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
    let mut fields = accounts.profile(&user).await?;
    if let Some(wanted) = params.one("field") {
        fields.retain(|name, _| name == wanted);
    }
    let text = serde_json::to_vec(&fields).map_err(|_| ApiError::failure())?;
    let fields: Object = parse_object(&text, Strictness::Lenient)?;
    Ok(answer(&fields))
}
