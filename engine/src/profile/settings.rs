//! What the operator lets people change of their profiles: client-server API, "`m.profile_fields` capability".

use super::{AVATAR_URL, DISPLAYNAME, check_field};
use crate::{Error, Result};

/// Which fields people may change of their own profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSettings {
    /// Whether they may change anything.
    pub enabled: bool,
    /// The fields that they may change; `None`: all but those of `disallowed`.
    pub allowed: Option<Vec<String>>,
    /// The fields that they may not change, if `allowed` says nothing.
    pub disallowed: Vec<String>,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            allowed: None,
            disallowed: Vec::new(),
        }
    }
}

impl ProfileSettings {
    /// Whether people may change this field.
    #[must_use]
    pub fn allows(&self, field: &str) -> bool {
        let among = |list: &[String]| list.iter().any(|one| one == field);
        self.enabled
            && match &self.allowed {
                Some(allowed) => among(allowed),
                None => !among(&self.disallowed),
            }
    }

    /// # Errors
    /// [`Error::Forbidden`].
    pub(super) fn check(&self, field: &str) -> Result<()> {
        if self.allows(field) {
            return Ok(());
        }
        let what = match field {
            DISPLAYNAME => "names",
            AVATAR_URL => "pictures",
            _ => "this field",
        };
        Err(Error::Forbidden(format!(
            "On this server people do not change {what} by themselves"
        )))
    }
}

/// Whether a profile may have a field of this name.
#[must_use]
pub fn is_profile_field(name: &str) -> bool {
    check_field(name).is_ok()
}
