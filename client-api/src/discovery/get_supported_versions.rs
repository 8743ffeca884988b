//! `GET /_matrix/client/versions`: client-server API, "API Versions".

use ruma::api::client::discovery::get_supported_versions::{Request, Response};

use crate::{error::ApiError, extract::MaybeAuthed, reply::Reply};

/// The versions of the specification whose text our endpoints follow. An endpoint that is not there yet says so itself,
/// with 404 `M_UNRECOGNIZED`.
const VERSIONS: [&str; 20] = [
    "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10",
    "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
];

/// The extensions that clients ask for by name before they use them.
const FEATURES: [&str; 10] = [
    "org.rookery.webpush",
    "org.rookery.ws",
    // Server-sent events, and sliding sync.
    "org.matrix.msc2108",
    "org.matrix.simplified_msc3575",
    // Account data that is taken away, and who may invite.
    "org.matrix.msc3391",
    "org.matrix.msc4155",
    // Who does not want to be disturbed.
    "org.matrix.msc3026.busy_presence",
    // Events that are sent later.
    "org.matrix.msc4140",
    // Threads that users follow.
    "org.matrix.msc4306",
    // What calls of many people go through.
    "org.matrix.msc4143",
];

/// Answers with the versions and the extensions of this server.
pub(crate) async fn handle(_ask: MaybeAuthed<Request>) -> Result<Reply<Response>, ApiError> {
    let mut response = Response::new(VERSIONS.map(str::to_owned).to_vec());
    let features = FEATURES.map(|feature| (feature.to_owned(), true));
    response.unstable_features = features.into();
    Ok(Reply(response))
}
