//! The query of a request.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use url::form_urlencoded;

use crate::ApiError;

/// Names and values, unescaped.
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequest for Params {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.query_string())))
    }
}

impl Params {
    fn of(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of this name.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first value of this name.
    ///
    /// # Errors
    /// 400 `M_MISSING_PARAM`: there is none.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        let missing = || ApiError::missing_param(format!("{name} is missing"));
        self.one(name).ok_or_else(missing)
    }

    /// The integer of this name.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM`: it is none.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.one(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| ApiError::invalid_param(format!("{name} is not an integer")))
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let params = Params::of("a=1&b=x%20y&a=2&c=");
        assert_eq!(params.integer("a").unwrap(), Some(1));
        assert_eq!(params.one("b"), Some("x y"));
        assert_eq!(params.integer("d").unwrap(), None);
        assert!(params.integer("b").is_err() && params.integer("c").is_err());
    }
}
