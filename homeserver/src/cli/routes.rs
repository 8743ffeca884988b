//! `homeserver routes`: every path that the server answers, for reverse proxies and for the tests,
//! which hold the list against `spec/api`.

use super::{Failure, say};
use crate::web;

/// Prints a line a route: method and path, variables written `{name}`; sorted by path.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every command answers with the same type"
)]
pub(crate) fn run() -> Result<(), Failure> {
    let apis = client_api::registered()
        .into_iter()
        .chain(::federation::registered());
    let pages = web::paths().map(|path| ("GET".to_owned(), path.to_owned()));
    let mut routes: Vec<(String, String)> = apis
        .map(|(method, path)| (method.to_string(), path))
        .chain(pages)
        .collect();
    routes.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    for (method, path) in routes {
        say(format_args!("{method} {path}"));
    }
    Ok(())
}
