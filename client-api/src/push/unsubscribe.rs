//! `GET` and `POST /_matrix/client/unstable/org.rookery.mail/unsubscribe`: where the links in e-mails lead. To open one changes
//! nothing, since programs that look for viruses open it too; the button on the page does, and so do mail programs on their
//! reader's wish (RFC 8058).

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web,
};
use engine::{Engine, Error, html::escaped};
use serde::Deserialize;

use crate::{error::ApiError, extract::PublicPage};

/// The path of both.
pub(crate) const PATH: &str = "/_matrix/client/unstable/org.rookery.mail/unsubscribe";

/// The page, with `{{…}}` where something goes. One file, no scripts, nothing external.
const PAGE: &str = include_str!("unsubscribe.html");

/// The button, which posts to where the page is.
const BUTTON: &str = "<form method=\"post\"><button>Stop these e-mails</button></form>";

/// Nothing but the page's own style may load or run, and the button may only lead here.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    token: String,
}

/// A page that asks.
pub(crate) async fn ask(
    engine: web::Data<Engine>,
    page: PublicPage,
) -> Result<HttpResponse, ApiError> {
    match engine.subscription(&token(&page)).await {
        Ok(address) => Ok(shown(
            StatusCode::OK,
            "No more e-mails?",
            &format!("Messages that you miss will no longer be sent to {address}."),
            BUTTON,
        )),
        Err(error) => unknown(error),
    }
}

/// Does it, and says so.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    page: PublicPage,
) -> Result<HttpResponse, ApiError> {
    match engine.unsubscribe(&token(&page)).await {
        Ok(address) => Ok(shown(
            StatusCode::OK,
            "Done",
            &format!(
                "Messages that you miss are no longer sent to {address}. Your app can turn that on again."
            ),
            "",
        )),
        Err(error) => unknown(error),
    }
}

fn token(page: &PublicPage) -> String {
    let query = web::Query::<Query>::from_query(&page.query);
    query
        .map(|query| query.into_inner().token)
        .unwrap_or_default()
}

fn unknown(error: Error) -> Result<HttpResponse, ApiError> {
    match error {
        Error::NotFound(_) => Ok(shown(
            StatusCode::NOT_FOUND,
            "This link is not complete",
            "Please open it once more from the e-mail, or turn the e-mails off in your app.",
            "",
        )),
        error => Err(error.into()),
    }
}

fn shown(status: StatusCode, title: &str, text: &str, form: &str) -> HttpResponse {
    let page = PAGE
        .replace("{{title}}", &escaped(title))
        .replace("{{form}}", form)
        .replace("{{text}}", &escaped(text));
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Security-Policy", POLICY))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(page)
}
