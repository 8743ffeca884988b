//! `/`: a page that says what this is and how to connect a client. The web client will replace it.

use actix_web::{HttpRequest, HttpResponse, web};
use engine::html::escaped;

use super::{Site, well_known};
use crate::config::RegistrationMode;

/// The page, with `{{…}}` where this server's own facts go. One file, no scripts, nothing external.
const PAGE: &str = include_str!("front_page.html");

/// Nothing but the page's own style may load or run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The front page.
pub(super) async fn handle(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let registration = match site.registration {
        RegistrationMode::Open => "Open: choose “Create account” in your client.",
        RegistrationMode::Token => {
            "With a registration token, from the people who run this server."
        }
        RegistrationMode::Closed => "Closed: the people who run this server make accounts.",
    };
    let page = fill(&[
        ("server_name", site.server_name.as_str()),
        ("client_url", &well_known::client_url(&site, &request)),
        ("registration", registration),
        ("version", env!("CARGO_PKG_VERSION")),
    ]);
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Security-Policy", POLICY))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .body(page)
}

/// The URL may hold what the client wrote in its Host header.
fn fill(facts: &[(&str, &str)]) -> String {
    facts.iter().fold(PAGE.to_owned(), |page, (name, value)| {
        page.replace(&format!("{{{{{name}}}}}"), &escaped(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_of_the_page_is_filled_and_nothing_gets_out_of_it() {
        let page = fill(&[
            ("server_name", "<script>"),
            ("client_url", "http://a\"b"),
            ("registration", "&"),
            ("version", "1"),
        ]);
        assert!(!page.contains("{{"), "a blank is left");
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        assert!(page.contains("http://a&quot;b"));
    }
}
