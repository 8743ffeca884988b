//! Signed requests between servers: the object that is signed and the header that carries the signature.
//!
//! Source: server-server API, "Request Authentication".

use std::fmt::Write as _;

use ruma::{OwnedServerName, ServerName};

use super::{PublicKey, ServerKey};
use crate::{
    json::{Object, Value},
    server_name,
    sign::signed_json,
};

/// A request between servers, as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Path and query, from `/_matrix` on.
    pub uri: &'a str,
    pub origin: &'a ServerName,
    /// `None` for servers that do not name it, which is allowed for compatibility only.
    pub destination: Option<&'a ServerName>,
    /// The body; `None` if there is none.
    pub content: Option<&'a Value>,
}

/// The `Authorization` header of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XMatrix {
    pub origin: OwnedServerName,
    pub destination: Option<OwnedServerName>,
    /// The key ID, algorithm included.
    pub key: String,
    /// The signature in base64.
    pub signature: String,
}

impl SignedRequest<'_> {
    /// The header that authenticates this request as `key`'s server, which must be the origin.
    pub fn sign(&self, key: &ServerKey) -> XMatrix {
        XMatrix {
            origin: self.origin.to_owned(),
            destination: self.destination.map(ToOwned::to_owned),
            key: key.key_id().to_owned(),
            signature: key.sign(self.message().as_bytes()),
        }
    }

    /// Whether `header` holds a signature of this request by `key`.
    pub fn is_signed(&self, header: &XMatrix, key: PublicKey) -> bool {
        key.verify(self.message().as_bytes(), &header.signature)
    }

    fn message(&self) -> String {
        let mut object = Object::from([
            ("method".to_owned(), self.method.into()),
            ("uri".to_owned(), self.uri.into()),
            ("origin".to_owned(), self.origin.as_str().into()),
        ]);
        if let Some(destination) = self.destination {
            object.insert("destination".to_owned(), destination.as_str().into());
        }
        if let Some(content) = self.content {
            object.insert("content".to_owned(), content.clone());
        }
        signed_json(&object)
    }
}

impl XMatrix {
    /// The header's value, in the form that older servers also read.
    pub fn to_header(&self) -> String {
        let mut header = format!("X-Matrix origin=\"{}\"", self.origin);
        if let Some(destination) = &self.destination {
            let _ = write!(header, ",destination=\"{destination}\"");
        }
        let _ = write!(header, ",key=\"{}\",sig=\"{}\"", self.key, self.signature);
        header
    }

    /// Reads the value of an `Authorization` header. `None` if it is not a complete one of this scheme.
    ///
    /// Names in any case and order, values bare or quoted, unknown parameters ignored; a parameter that
    /// comes twice is refused, since two readers may pick different ones.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("X-Matrix") {
            return None;
        }
        let [mut origin, mut destination, mut key, mut signature] = [const { None }; 4];
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = parameter_value(after)?;
            rest = after.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
            let slot = match name.to_ascii_lowercase().as_str() {
                "origin" => &mut origin,
                "destination" => &mut destination,
                "key" => &mut key,
                "sig" | "signature" => &mut signature,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let destination = match destination {
            Some(name) => Some(server_name::owned(&name)?),
            None => None,
        };
        Some(Self {
            origin: server_name::owned(&origin?)?,
            destination,
            key: key?,
            signature: signature?,
        })
    }
}

/// One value, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t', '"']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..])).filter(|(value, _)| !value.is_empty());
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ServerKey {
        ServerKey::from_seed(ServerName::parse("origin.example").unwrap(), "1", &[7; 32])
    }

    #[test]
    fn a_request_is_verified_by_what_its_header_says() {
        let key = key();
        let content = Value::Object(crate::object! { "a" => 1 });
        let destination = ServerName::parse("dest.example").unwrap();
        let request = SignedRequest {
            method: "PUT",
            uri: "/_matrix/federation/v1/send/1?x=y",
            origin: key.server(),
            destination: Some(&destination),
            content: Some(&content),
        };
        let header = request.sign(&key);
        let read = XMatrix::parse(&header.to_header()).unwrap();
        assert_eq!(read, header);
        assert!(request.is_signed(&read, key.public_key()));
        for (changed, what) in [
            (
                SignedRequest {
                    method: "POST",
                    ..request
                },
                "method",
            ),
            (
                SignedRequest {
                    uri: "/_matrix/federation/v1/send/2?x=y",
                    ..request
                },
                "uri",
            ),
            (
                SignedRequest {
                    destination: None,
                    ..request
                },
                "destination",
            ),
            (
                SignedRequest {
                    content: None,
                    ..request
                },
                "content",
            ),
        ] {
            assert!(!changed.is_signed(&read, key.public_key()), "{what}");
        }
    }

    /// RFC 9110, section 11.4, and the compatibility notes of the server-server API.
    #[test]
    fn headers_are_read_in_every_allowed_form() {
        let expected = XMatrix {
            origin: ServerName::parse("a.example:8448").unwrap(),
            destination: None,
            key: "ed25519:k".to_owned(),
            signature: "ab+/".to_owned(),
        };
        for header in [
            r#"X-Matrix origin="a.example:8448",key="ed25519:k",sig="ab+/""#,
            r#"x-matrix  KEY=ed25519:k , sig="ab+/",	origin=a.example:8448"#,
            r#"X-Matrix origin="a.example:8448",key="ed25519\:k",sig="ab+/",other=1"#,
            r#"X-Matrix origin="a.example:8448",key="ed25519:k",signature="ab+/""#,
        ] {
            assert_eq!(XMatrix::parse(header).as_ref(), Some(&expected), "{header}");
        }
        for header in [
            "",
            "X-Matrix",
            "Bearer abc",
            r#"X-Matrix origin="a.example",key="k""#,
            r#"X-Matrix origin="a.example,key="k",sig="s""#,
            r#"X-Matrix origin="not a name",key="k",sig="s""#,
            r#"X-Matrix origin="a.example:+80",key="k",sig="s""#,
            r#"X-Matrix origin="a",origin="b",key="k",sig="s""#,
            r#"X-Matrix origin="a" key="k",sig="s""#,
            r#"X-Matrix origin="a",key="k",sig="s"#,
        ] {
            assert_eq!(XMatrix::parse(header), None, "{header}");
        }
    }
}
