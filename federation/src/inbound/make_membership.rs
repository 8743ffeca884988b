//! `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`, `make_leave` and `make_knock`: server-server API, "Joining
//! rooms", "Leaving rooms", "Knocking".

use actix_web::{HttpResponse, web};
use spec::object;

use super::{Room, answer, room_id, user_id};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// A draft of a join, for a server that knows these room versions; one that names none knows the first.
pub(crate) async fn join(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    params: Params,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    make(&engine, "join", &path, Some(versions(&params)), signed).await
}

/// A draft of a knock, for a server that knows these room versions.
pub(crate) async fn knock(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    params: Params,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    make(&engine, "knock", &path, Some(versions(&params)), signed).await
}

/// A draft of a leave.
pub(crate) async fn leave(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    make(&engine, "leave", &path, None, signed).await
}

/// The room versions that the other server knows.
fn versions(params: &Params) -> Vec<String> {
    let mut versions: Vec<String> = params.all("ver").map(str::to_owned).collect();
    if versions.is_empty() {
        versions.push("1".to_owned());
    }
    versions
}

async fn make(
    engine: &Room,
    membership: &'static str,
    path: &(String, String),
    versions: Option<Vec<String>>,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let (room, user) = (room_id(&path.0)?, user_id(&path.1)?);
    let made = engine
        .ask(|inbound| async move {
            let versions = versions.as_deref();
            inbound
                .make_membership(&origin, membership, &room, &user, versions)
                .await
        })
        .await?;
    let mut body = object! { "event" => made.event };
    if let Some(version) = made.room_version {
        body.insert("room_version".to_owned(), version.into());
    }
    Ok(answer(&body))
}
