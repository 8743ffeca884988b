//! `GET /_matrix/federation/v1/openid/userinfo`: server-server API, "OpenID". Anybody may ask; the token is the proof.

use actix_web::{HttpResponse, web};
use engine::account::Accounts;
use spec::object;

use super::answer;
use crate::{ApiError, params::Params};

/// Whom an OpenID token stands for.
pub(crate) async fn handle(
    accounts: web::Data<Accounts>,
    params: Params,
) -> Result<HttpResponse, ApiError> {
    let token = params.one("access_token");
    let user = accounts.openid_user(token.ok_or_else(ApiError::missing_token)?);
    Ok(answer(&object! { "sub" => user.await?.as_str() }))
}
