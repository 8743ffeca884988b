//! Section `profiles`: what people may say of themselves.

use super::raw::Raw;
use super::section::{Setting, section};
use super::value::list;

section! {
    /// What people may change of their profiles, for servers where names and pictures come from elsewhere. It does not
    /// hold for administrators.
    "profiles" Profiles {
        /// Whether they may change anything.
        changes: bool, default true;

        /// The fields that they may change, and no others: ["displayname", "avatar_url"]. Left out, all but those of
        /// fixed_fields.
        allowed_fields: Option<Vec<ProfileField>>, example ["displayname", "avatar_url"];

        /// The fields that they may not change. Without effect beside allowed_fields.
        fixed_fields: Vec<ProfileField>, default [];
    }
}

/// The name of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProfileField(pub(crate) String);

impl Setting for ProfileField {
    const EXPECTED: &'static str =
        r#"the name of a profile field like "displayname" or "com.example.field""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?.trim();
        engine::is_profile_field(text).then(|| Self(text.to_owned()))
    }
}

impl Setting for Vec<ProfileField> {
    const EXPECTED: &'static str = r#"a list of profile fields like ["displayname"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}
