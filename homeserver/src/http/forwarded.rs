//! Requests that a proxy of the operator's passes on: they come from where it says.

use std::net::{IpAddr, SocketAddr};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, X_FORWARDED_FOR};
use actix_web::middleware::Next;

/// Makes the address that the proxy saw the request's own, for all that asks whom it is from. A request that says nothing
/// of it did not come through the proxy, and keeps its address.
pub(super) async fn see_through(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(address) = last_forwarded(request.headers()) {
        // Which port it was says nothing any more.
        request.head_mut().peer_addr = Some(SocketAddr::new(address, 0));
    }
    next.call(request).await
}

/// The last address of `X-Forwarded-For`: that one is the proxy's word, those before are anybody's.
fn last_forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let header = headers.get_all(X_FORWARDED_FOR).last()?;
    header
        .to_str()
        .ok()?
        .rsplit(',')
        .next()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_word_of_the_proxy_counts_and_no_other() {
        let headers = |lines: &[&str]| {
            let mut request = TestRequest::default();
            for line in lines {
                request = request.append_header((X_FORWARDED_FOR, *line));
            }
            last_forwarded(request.to_srv_request().headers())
        };
        let address = |text: &str| text.parse().ok();
        for (lines, expected) in [
            (vec!["192.0.2.1"], address("192.0.2.1")),
            (vec!["198.51.100.9, 192.0.2.1"], address("192.0.2.1")),
            (vec!["198.51.100.9", "2001:db8::1"], address("2001:db8::1")),
            (vec!["192.0.2.1, unknown"], None),
            (vec![""], None),
            (vec![], None),
        ] {
            assert_eq!(headers(&lines), expected, "{lines:?}");
        }
    }
}
