//! Room versions as data: each is the one before plus its differences.
//!
//! Nothing elsewhere compares version numbers; it asks for a rule by its name. Source: room versions 1 to
//! 12, each page's own section "Server implementation components".

use std::fmt;

use crate::json::{MAX_INTEGER, Strictness};

/// The rules of one room version.
///
/// Obtained from [`RoomVersion::get`]; two are equal when their identifiers are.
#[derive(Debug)]
pub struct RoomVersion {
    id: &'static str,
    /// Which numbers events may hold.
    pub json: Strictness,
    /// Where event IDs come from.
    pub event_ids: EventIds,
    /// How `prev_events` and `auth_events` name events.
    pub references: References,
    /// Where room IDs come from.
    pub room_ids: RoomIds,
    /// Where an `m.room.redaction` names its target.
    pub redacts: Redacts,
    /// In what the limits of 255 on fields of received events are counted.
    pub field_limit: FieldLimit,
    /// The largest `depth`; deeper events get this one.
    pub max_depth: i64,
    /// Whether a signing key must have been valid at the event's `origin_server_ts`.
    pub enforce_key_validity: bool,
    /// What a redaction leaves.
    pub redaction: Redaction,
    /// The authorization rules.
    pub auth: Auth,
    /// The state resolution algorithm.
    pub state_resolution: StateResolution,
}

/// Where event IDs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventIds {
    /// `$local:domain`, chosen by the sending server and part of the event.
    Chosen,
    /// The reference hash in standard base64.
    HashStandard,
    /// The reference hash in URL-safe base64.
    HashUrlSafe,
}

/// How an event names the events it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// `[event ID, {"sha256": reference hash}]`.
    Pairs,
    /// The event ID alone.
    Ids,
}

/// Where room IDs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomIds {
    /// `!local:domain`, chosen by the creating server.
    Chosen,
    /// The ID of the create event, which itself carries no `room_id`, with the sigil `!`.
    CreateEvent,
}

/// Where an `m.room.redaction` names its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redacts {
    TopLevel,
    Content,
}

/// What the limits on field lengths count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldLimit {
    /// Code points: older servers counted so, and their events remain.
    CodePoints,
    Bytes,
}

/// Which state resolution algorithm a room uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateResolution {
    V1,
    V2,
    /// Version 2 with the changes of room version 12: begin with nothing, and follow conflicted subgraphs.
    V2_1,
}

/// What redaction leaves of an event.
#[derive(Debug, Clone, Copy)]
pub struct Redaction {
    /// The top-level keys that stay, in canonical order.
    pub top_level: &'static [&'static str],
    /// What stays of the content, by event type. Of types not listed, nothing does.
    pub content: &'static [(&'static str, Keep)],
}

/// What redaction leaves of a content.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    All,
    /// These keys, in canonical order.
    Keys(&'static [Key]),
}

/// A key that redaction leaves.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Whole(&'static str),
    /// Of the object under the first key, only the second; what holds no object goes. An object without
    /// the second key stays as an empty one: the text leaves that open, and we follow Synapse.
    Part(&'static str, &'static str),
}

/// How the authorization rules of room versions differ.
#[derive(Debug, Clone, Copy)]
pub struct Auth {
    /// `m.room.aliases` needs no more than a state key that is the sender's server.
    pub aliases_by_server: bool,
    /// Whether a redaction may apply is decided when the redaction is authorised.
    pub redactions_by_rule: bool,
    /// Changes of `notifications` levels are checked.
    pub check_notifications: bool,
    /// The membership and join rule `knock` exist.
    pub knock: bool,
    /// The join rule `restricted` exists.
    pub restricted: bool,
    /// The join rule `knock_restricted` exists.
    pub knock_restricted: bool,
    /// Which values stand for a power level.
    pub levels: Levels,
    /// Who made the room.
    pub creator: Creator,
    /// Creators have infinite power, and `additional_creators` names more of them.
    pub privileged_creators: bool,
    /// The create event is known by the room ID and must not be among the auth events.
    pub implied_create: bool,
    /// Users have the state whose key is their ID with `_` and more behind it, besides that with their ID: MSC3757.
    pub owned_state: bool,
}

/// Which values stand for a power level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// Integers, strings of them, and floats, which are truncated.
    Loose,
    /// Integers and strings of them.
    Strings,
    /// Integers.
    Integers,
}

/// Who made a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creator {
    /// `creator` in the content of the create event.
    Content,
    /// The sender of the create event.
    Sender,
}

impl RoomVersion {
    /// The rules of the version called `id`, if there are such.
    pub fn get(id: &str) -> Option<&'static Self> {
        Self::supported().find(|version| version.id == id)
    }

    /// All versions of the specification, in the order in which they were made.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// Versions that try out proposals.
    pub fn unstable() -> &'static [Self] {
        &UNSTABLE
    }

    /// The one and the other.
    pub fn supported() -> impl Iterator<Item = &'static Self> {
        ALL.iter().chain(&UNSTABLE)
    }

    /// The version's identifier, as `room_version` in the create event names it.
    pub fn id(&self) -> &'static str {
        self.id
    }
}

impl PartialEq for RoomVersion {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for RoomVersion {}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

static UNSTABLE: [RoomVersion; 2] = [MSC3757_V10, MSC3757_V11];

static ALL: [RoomVersion; 12] = [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12];

const V1: RoomVersion = RoomVersion {
    id: "1",
    json: Strictness::Lenient,
    event_ids: EventIds::Chosen,
    references: References::Pairs,
    room_ids: RoomIds::Chosen,
    redacts: Redacts::TopLevel,
    field_limit: FieldLimit::CodePoints,
    max_depth: i64::MAX,
    enforce_key_validity: false,
    redaction: Redaction {
        top_level: &[
            "auth_events",
            "content",
            "depth",
            "event_id",
            "hashes",
            "membership",
            "origin",
            "origin_server_ts",
            "prev_events",
            "prev_state",
            "room_id",
            "sender",
            "signatures",
            "state_key",
            "type",
        ],
        content: &[
            ("m.room.member", MEMBER_V1),
            ("m.room.create", Keep::Keys(&[Key::Whole("creator")])),
            ("m.room.join_rules", Keep::Keys(&[Key::Whole("join_rule")])),
            ("m.room.power_levels", POWER_LEVELS_V1),
            ("m.room.aliases", Keep::Keys(&[Key::Whole("aliases")])),
            ("m.room.history_visibility", HISTORY_VISIBILITY),
        ],
    },
    auth: Auth {
        aliases_by_server: true,
        redactions_by_rule: true,
        check_notifications: false,
        knock: false,
        restricted: false,
        knock_restricted: false,
        levels: Levels::Loose,
        creator: Creator::Content,
        privileged_creators: false,
        implied_create: false,
        owned_state: false,
    },
    state_resolution: StateResolution::V1,
};

const V2: RoomVersion = RoomVersion {
    id: "2",
    state_resolution: StateResolution::V2,
    ..V1
};

const V3: RoomVersion = RoomVersion {
    id: "3",
    event_ids: EventIds::HashStandard,
    references: References::Ids,
    auth: Auth {
        redactions_by_rule: false,
        ..V2.auth
    },
    ..V2
};

const V4: RoomVersion = RoomVersion {
    id: "4",
    event_ids: EventIds::HashUrlSafe,
    ..V3
};

const V5: RoomVersion = RoomVersion {
    id: "5",
    enforce_key_validity: true,
    ..V4
};

const V6: RoomVersion = RoomVersion {
    id: "6",
    json: Strictness::Strict,
    max_depth: MAX_INTEGER,
    redaction: Redaction {
        content: &[
            ("m.room.member", MEMBER_V1),
            ("m.room.create", Keep::Keys(&[Key::Whole("creator")])),
            ("m.room.join_rules", Keep::Keys(&[Key::Whole("join_rule")])),
            ("m.room.power_levels", POWER_LEVELS_V1),
            ("m.room.history_visibility", HISTORY_VISIBILITY),
        ],
        ..V5.redaction
    },
    auth: Auth {
        aliases_by_server: false,
        check_notifications: true,
        levels: Levels::Strings,
        ..V5.auth
    },
    ..V5
};

const V7: RoomVersion = RoomVersion {
    id: "7",
    auth: Auth {
        knock: true,
        ..V6.auth
    },
    ..V6
};

const V8: RoomVersion = RoomVersion {
    id: "8",
    redaction: Redaction {
        content: &[
            ("m.room.member", MEMBER_V1),
            ("m.room.create", Keep::Keys(&[Key::Whole("creator")])),
            ("m.room.join_rules", JOIN_RULES_V8),
            ("m.room.power_levels", POWER_LEVELS_V1),
            ("m.room.history_visibility", HISTORY_VISIBILITY),
        ],
        ..V7.redaction
    },
    auth: Auth {
        restricted: true,
        ..V7.auth
    },
    ..V7
};

const V9: RoomVersion = RoomVersion {
    id: "9",
    redaction: Redaction {
        content: &[
            ("m.room.member", MEMBER_V9),
            ("m.room.create", Keep::Keys(&[Key::Whole("creator")])),
            ("m.room.join_rules", JOIN_RULES_V8),
            ("m.room.power_levels", POWER_LEVELS_V1),
            ("m.room.history_visibility", HISTORY_VISIBILITY),
        ],
        ..V8.redaction
    },
    ..V8
};

const V10: RoomVersion = RoomVersion {
    id: "10",
    auth: Auth {
        knock_restricted: true,
        levels: Levels::Integers,
        ..V9.auth
    },
    ..V9
};

const V11: RoomVersion = RoomVersion {
    id: "11",
    redacts: Redacts::Content,
    field_limit: FieldLimit::Bytes,
    redaction: Redaction {
        top_level: &[
            "auth_events",
            "content",
            "depth",
            "event_id",
            "hashes",
            "origin_server_ts",
            "prev_events",
            "room_id",
            "sender",
            "signatures",
            "state_key",
            "type",
        ],
        content: &[
            ("m.room.member", MEMBER_V11),
            ("m.room.create", Keep::All),
            ("m.room.join_rules", JOIN_RULES_V8),
            ("m.room.power_levels", POWER_LEVELS_V11),
            ("m.room.history_visibility", HISTORY_VISIBILITY),
            ("m.room.redaction", Keep::Keys(&[Key::Whole("redacts")])),
        ],
    },
    auth: Auth {
        creator: Creator::Sender,
        ..V10.auth
    },
    ..V10
};

const V12: RoomVersion = RoomVersion {
    id: "12",
    room_ids: RoomIds::CreateEvent,
    auth: Auth {
        privileged_creators: true,
        implied_create: true,
        ..V11.auth
    },
    state_resolution: StateResolution::V2_1,
    ..V11
};

const MSC3757_V10: RoomVersion = RoomVersion {
    id: "org.matrix.msc3757.10",
    auth: Auth {
        owned_state: true,
        ..V10.auth
    },
    ..V10
};

const MSC3757_V11: RoomVersion = RoomVersion {
    id: "org.matrix.msc3757.11",
    auth: Auth {
        owned_state: true,
        ..V11.auth
    },
    ..V11
};

const MEMBER_V1: Keep = Keep::Keys(&[Key::Whole("membership")]);

const MEMBER_V9: Keep = Keep::Keys(&[
    Key::Whole("join_authorised_via_users_server"),
    Key::Whole("membership"),
]);

const MEMBER_V11: Keep = Keep::Keys(&[
    Key::Whole("join_authorised_via_users_server"),
    Key::Whole("membership"),
    Key::Part("third_party_invite", "signed"),
]);

const JOIN_RULES_V8: Keep = Keep::Keys(&[Key::Whole("allow"), Key::Whole("join_rule")]);

const HISTORY_VISIBILITY: Keep = Keep::Keys(&[Key::Whole("history_visibility")]);

const POWER_LEVELS_V1: Keep = Keep::Keys(&[
    Key::Whole("ban"),
    Key::Whole("events"),
    Key::Whole("events_default"),
    Key::Whole("kick"),
    Key::Whole("redact"),
    Key::Whole("state_default"),
    Key::Whole("users"),
    Key::Whole("users_default"),
]);

const POWER_LEVELS_V11: Keep = Keep::Keys(&[
    Key::Whole("ban"),
    Key::Whole("events"),
    Key::Whole("events_default"),
    Key::Whole("invite"),
    Key::Whole("kick"),
    Key::Whole("redact"),
    Key::Whole("state_default"),
    Key::Whole("users"),
    Key::Whole("users_default"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_found_by_its_identifier_and_nothing_else_is() {
        for (index, version) in RoomVersion::all().iter().enumerate() {
            assert_eq!(version.id(), (index + 1).to_string());
            assert_eq!(RoomVersion::get(version.id()), Some(version));
        }
        for version in RoomVersion::unstable() {
            assert_eq!(RoomVersion::get(version.id()), Some(version));
        }
        for unknown in ["", "0", "13", "01", "1.0", " 1", "org.matrix.msc1767"] {
            assert_eq!(RoomVersion::get(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn kept_keys_stand_in_canonical_order() {
        let name = |key: &Key| match *key {
            Key::Whole(name) | Key::Part(name, _) => name,
        };
        for version in RoomVersion::all() {
            assert!(version.redaction.top_level.is_sorted(), "version {version}");
            for (event_type, keep) in version.redaction.content {
                if let Keep::Keys(keys) = keep {
                    assert!(
                        keys.iter().map(name).is_sorted(),
                        "{event_type} in {version}"
                    );
                }
            }
        }
    }
}
