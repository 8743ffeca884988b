//! The `auth` of a request: client-server API, "User-Interactive Authentication API".

use engine::account::uia::{Attempt, Proof};
use serde::Deserialize;

/// What a client sends under `auth`, for all stages that this server knows.
///
/// More lenient than ruma's type: an empty object asks how the session stands, and a user may be named in the way of
/// old, by `user`.
#[derive(Deserialize)]
pub(crate) struct Auth {
    #[serde(rename = "type")]
    stage: Option<String>,
    session: Option<String>,
    identifier: Option<Identifier>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

impl From<Auth> for Attempt {
    fn from(auth: Auth) -> Self {
        let proof = auth.stage.map(|stage| match stage.as_str() {
            "m.login.dummy" => Proof::Dummy,
            "m.login.password" => Proof::Password {
                user: auth.identifier.map_or(auth.user, |identifier| {
                    // No user of this server has another kind of identifier: it is then nobody's password.
                    Some(identifier.into_user().unwrap_or_default())
                }),
                password: auth.password.unwrap_or_default().into(),
            },
            "m.login.registration_token" => {
                Proof::RegistrationToken(auth.token.unwrap_or_default())
            }
            _ => Proof::Unknown(stage),
        });
        Self {
            session: auth.session,
            proof,
        }
    }
}

/// Who somebody says that they are: client-server API, "Identifier types".
#[derive(Deserialize)]
pub(crate) struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
}

impl Identifier {
    /// The user id or localpart; `None` for email addresses, phone numbers and the like.
    pub(crate) fn into_user(self) -> Option<String> {
        self.user.filter(|_| self.kind == "m.id.user")
    }
}

#[cfg(test)]
mod tests {
    use engine::account::uia::{Attempt, Proof};
    use serde_json::json;

    use super::Auth;

    fn attempt(auth: serde_json::Value) -> Attempt {
        serde_json::from_value::<Auth>(auth).unwrap().into()
    }

    #[test]
    fn old_and_new_ways_to_name_the_user() {
        for auth in [
            json!({"type": "m.login.password", "user": "alice", "password": "p"}),
            json!({
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": "alice"},
                "password": "p",
            }),
        ] {
            let proof = attempt(auth).proof;
            assert!(
                matches!(&proof, Some(Proof::Password { user: Some(user), .. }) if user == "alice"),
                "{proof:?}"
            );
        }
    }

    #[test]
    fn only_a_session_proves_nothing() {
        let asked = attempt(json!({"session": "s"}));
        assert_eq!(asked.session.as_deref(), Some("s"));
        assert!(asked.proof.is_none());
        assert!(attempt(json!({})).proof.is_none());
        let unknown = attempt(json!({"type": "m.login.recaptcha", "response": "x"})).proof;
        assert!(matches!(unknown, Some(Proof::Unknown(_))), "{unknown:?}");
    }
}
