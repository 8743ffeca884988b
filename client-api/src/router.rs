//! From method and path to an endpoint: a tree of path segments.
//!
//! Segments are percent-decoded before they are compared, so an identifier with `/`, `+`, `%` or any Unicode comes
//! through whole, and the cost of a lookup is the length of the path, whatever the number of routes. That is why this
//! is not actix's own router, which tries one regular expression a route and decodes in two halves.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use actix_web::http::Method;

use crate::dispatch::Endpoint;

/// The routing table.
#[derive(Default)]
pub(crate) struct Router {
    root: Node,
    patterns: Vec<(Method, String)>,
}

/// One segment further down.
#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    variable: Option<Box<Node>>,
    /// The pattern that ends here, with its variables' names in the order of the path.
    leaf: Option<Leaf>,
}

struct Leaf {
    pattern: Arc<str>,
    names: Vec<Arc<str>>,
    endpoints: Vec<(Method, Endpoint)>,
}

/// Where a path led.
pub(crate) enum Found<'a> {
    /// An endpoint, the pattern of its path, and the decoded variables with their names.
    Endpoint {
        endpoint: &'a Endpoint,
        pattern: Arc<str>,
        arguments: Vec<(Arc<str>, String)>,
    },
    /// The path is known, but not with this method; these are its methods.
    OtherMethods(Vec<Method>),
    /// No such path.
    Nothing,
}

impl Router {
    /// Adds an endpoint. `pattern` begins with a slash; a segment `{name}` is a variable.
    pub(crate) fn add(&mut self, method: Method, pattern: &str, endpoint: Endpoint) {
        let mut node = &mut self.root;
        let mut names = Vec::new();
        for segment in pattern.split('/').skip(1) {
            node = match variable_name(segment) {
                Some(name) => {
                    names.push(name.into());
                    node.variable.get_or_insert_default()
                }
                None => node.literals.entry(segment.to_owned()).or_default(),
            };
        }
        let leaf = node.leaf.get_or_insert_with(|| Leaf {
            pattern: pattern.into(),
            names,
            endpoints: Vec::new(),
        });
        assert!(
            !leaf.endpoints.iter().any(|(known, _)| *known == method),
            "{method} {pattern} is registered twice"
        );
        leaf.endpoints.push((method.clone(), endpoint));
        self.patterns.push((method, pattern.to_owned()));
    }

    /// Finds the endpoint for `method` and the raw (still percent-encoded) `path`.
    ///
    /// `HEAD` finds `GET`. Bytes that are no UTF-8 after decoding find nothing.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Some(segments) = path
            .split('/')
            .skip(1)
            .map(decode)
            .collect::<Option<Vec<_>>>()
        else {
            return Found::Nothing;
        };
        let mut values = Vec::new();
        let Some(leaf) = self.root.walk(&segments, &mut values) else {
            return Found::Nothing;
        };
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        match leaf.endpoints.iter().find(|(known, _)| known == wanted) {
            Some((_, endpoint)) => Found::Endpoint {
                endpoint,
                pattern: Arc::clone(&leaf.pattern),
                arguments: leaf.names.iter().cloned().zip(values).collect(),
            },
            None => Found::OtherMethods(leaf.endpoints.iter().map(|(m, _)| m.clone()).collect()),
        }
    }

    /// Whether there is an endpoint for this method and path.
    pub(crate) fn serves(&self, method: &Method, path: &str) -> bool {
        matches!(self.find(method, path), Found::Endpoint { .. })
    }

    /// All that was added, sorted by path and method.
    pub(crate) fn registered(&self) -> Vec<(Method, String)> {
        let mut all = self.patterns.clone();
        all.sort_by(|a, b| (&a.1, a.0.as_str()).cmp(&(&b.1, b.0.as_str())));
        all
    }
}

impl Node {
    /// Follows `segments`, literals before variables. Only the last variable of a path may be empty (a state key).
    ///
    /// Recursion is as deep as the deepest pattern.
    fn walk(&self, segments: &[Cow<'_, str>], values: &mut Vec<String>) -> Option<&Leaf> {
        let Some((first, rest)) = segments.split_first() else {
            return self.leaf.as_ref();
        };
        if let Some(leaf) = self
            .literals
            .get(first.as_ref())
            .and_then(|n| n.walk(rest, values))
        {
            return Some(leaf);
        }
        let next = self
            .variable
            .as_ref()
            .filter(|_| !first.is_empty() || rest.is_empty())?;
        values.push(first.clone().into_owned());
        let found = next.walk(rest, values);
        if found.is_none() {
            values.pop();
        }
        found
    }
}

/// The name in a `{name}` segment.
fn variable_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Percent-decodes one segment; `None` if the bytes are no UTF-8. A `%` without two hex digits stays as it is.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = if byte == b'%' { hex_pair(tail) } else { None };
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The byte that two hex digits at the beginning of `digits` stand for.
fn hex_pair(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use actix_web::{HttpResponse, http::Method};

    use super::{Found, Router};
    use crate::dispatch::Endpoint;

    fn router() -> Router {
        let mut router = Router::default();
        let endpoint = Endpoint::new(None, || async { HttpResponse::Ok().finish() });
        for (method, pattern) in [
            (Method::GET, "/rooms/{room_id}/state"),
            (Method::GET, "/rooms/{room_id}/state/{event_type}"),
            (
                Method::GET,
                "/rooms/{room_id}/state/{event_type}/{state_key}",
            ),
            (
                Method::PUT,
                "/rooms/{room_id}/state/{event_type}/{state_key}",
            ),
            (Method::GET, "/rooms/{room_id}/event/{event_id}"),
        ] {
            router.add(method, pattern, endpoint.clone());
        }
        router
    }

    fn arguments(path: &str) -> Option<Vec<String>> {
        match router().find(&Method::GET, path) {
            Found::Endpoint { arguments, .. } => {
                Some(arguments.into_iter().map(|(_, v)| v).collect())
            }
            _ => None,
        }
    }

    #[test]
    fn identifiers_come_through_whole() {
        for (path, expected) in [
            ("/rooms/!a:b/event/$a%2Fb+c%2Bd", &["!a:b", "$a/b+c+d"][..]),
            ("/rooms/%21a%3Ab/event/%24%25%32%46", &["!a:b", "$%2F"]),
            ("/rooms/!a/event/$%F0%9F%90%A6", &["!a", "$🐦"]),
            ("/rooms/!a/event/100%", &["!a", "100%"]),
            ("/ro%6Fms/!a/state", &["!a"]),
            ("/rooms/!a/state/m.room.name", &["!a", "m.room.name"]),
            ("/rooms/!a/state/m.room.name/", &["!a", "m.room.name", ""]),
            (
                "/rooms/!a/state/m.room.name/a%2Fb",
                &["!a", "m.room.name", "a/b"],
            ),
        ] {
            assert_eq!(
                arguments(path).as_deref(),
                Some(&expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "/",
            "",
            "/rooms",
            "/rooms//state",
            "/rooms/!a/state/x/y/z",
            "/rooms/!a/event/%FF",
        ] {
            assert_eq!(arguments(path), None, "{path}");
        }
    }

    #[test]
    fn a_known_path_with_another_method_names_its_methods() {
        let router = router();
        match router.find(&Method::POST, "/rooms/!a/state/t/") {
            Found::OtherMethods(methods) => assert_eq!(methods, [Method::GET, Method::PUT]),
            _ => panic!("found something else"),
        }
        assert!(router.serves(&Method::HEAD, "/rooms/!a/state"));
    }
}
