//! Formats and limits of events: server-server API, "PDUs"; client-server API, "Size limits"; "Event format" of
//! each room version.

use ruma::{EventId, UserId};
use spec::{
    event::{Draft, Event, FormatError, MAX_EVENT_DEPTH, Parent, SealError},
    fixture::{RoomFixture, server_key},
    json::{Object, Value},
    object,
    room_version::{FieldLimit, References, RoomVersion},
};

fn draft(content: Object) -> Draft {
    Draft {
        room_id: Some("!room:a.example".try_into().unwrap()),
        sender: UserId::parse("@alice:a.example").unwrap(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content,
        redacts: None,
    }
}

fn parent(depth: i64) -> Parent {
    Parent {
        id: EventId::parse("$parent:a.example").unwrap(),
        reference_hash: [1; 32],
        depth,
    }
}

fn seal(version: &RoomVersion, draft: Draft, prev: &[Parent]) -> Result<Event, SealError> {
    let key = server_key(draft.sender.server_name());
    draft.seal(version, prev, &[], 1_700_000_000_000, "seed", &key)
}

fn body(bytes: usize) -> Object {
    object! { "body" => "x".repeat(bytes) }
}

#[test]
fn an_event_may_have_65536_bytes_and_no_more() {
    for version in RoomVersion::all() {
        let overhead = seal(version, draft(body(0)), &[parent(1)])
            .unwrap()
            .to_json()
            .len();
        let largest = seal(version, draft(body(65_536 - overhead)), &[parent(1)]).unwrap();
        assert_eq!(largest.to_json().len(), 65_536, "version {version}");
        assert!(
            Event::parse(version, largest.object().clone()).is_ok(),
            "version {version}"
        );
        let refused = seal(version, draft(body(65_537 - overhead)), &[parent(1)]);
        let error = FormatError::TooLarge { bytes: 65_537 };
        assert_eq!(
            refused,
            Err(SealError::TooLarge(error.clone())),
            "version {version}"
        );
        let mut object = largest.object().clone();
        object.insert("content".to_owned(), body(65_537 - overhead).into());
        assert_eq!(
            Event::parse(version, object),
            Err(error),
            "version {version}"
        );
    }
}

#[test]
fn fields_are_limited_in_bytes_or_code_points() {
    let long = "é".repeat(200);
    for version in RoomVersion::all() {
        let refused = seal(
            version,
            Draft {
                event_type: long.clone(),
                ..draft(body(1))
            },
            &[],
        );
        assert_eq!(
            refused,
            Err(SealError::TooLarge(FormatError::FieldTooLong("type")))
        );
        let made = seal(version, draft(body(1)), &[]).unwrap();
        for (name, text, tolerated) in [
            (
                "type",
                long.clone(),
                version.field_limit == FieldLimit::CodePoints,
            ),
            (
                "state_key",
                long.clone(),
                version.field_limit == FieldLimit::CodePoints,
            ),
            ("type", "x".repeat(256), false),
            ("state_key", "x".repeat(255), true),
        ] {
            let mut object = made.object().clone();
            object.insert(name.to_owned(), text.into());
            let parsed = Event::parse(version, object);
            assert_eq!(
                parsed.is_ok(),
                tolerated,
                "{name} in version {version}: {parsed:?}"
            );
        }
    }
}

#[test]
fn depth_counts_up_to_what_the_version_allows() {
    for version in RoomVersion::all() {
        let depth = |parents: &[Parent]| seal(version, draft(body(1)), parents).unwrap().depth();
        assert_eq!(depth(&[]), 1);
        assert_eq!(depth(&[parent(4), parent(9), parent(2)]), 10);
        assert_eq!(
            depth(&[parent(version.max_depth)]),
            version.max_depth,
            "version {version}"
        );
    }
}

#[test]
fn malformed_events_are_no_events() {
    for version in RoomVersion::all() {
        let good = seal(version, draft(body(1)), &[parent(1)]).unwrap();
        for field in [
            "auth_events",
            "content",
            "depth",
            "hashes",
            "origin_server_ts",
            "prev_events",
            "room_id",
            "sender",
            "signatures",
            "type",
        ] {
            let mut object = good.object().clone();
            object.remove(field);
            assert_eq!(
                Event::parse(version, object),
                Err(FormatError::Field(field)),
                "without {field}"
            );
            let mut object = good.object().clone();
            object.insert(field.to_owned(), true.into());
            assert_eq!(
                Event::parse(version, object),
                Err(FormatError::Field(field)),
                "{field} as true"
            );
        }
        for (field, wrong) in [
            ("state_key", Value::Null),
            ("depth", Value::Integer(-1)),
            ("depth", "1".into()),
            ("sender", "alice".into()),
            ("room_id", "room".into()),
            ("hashes", Object::new().into()),
            ("prev_events", vec!["no event"].into()),
            ("prev_events", vec![1_i64].into()),
        ] {
            let mut object = good.object().clone();
            object.insert(field.to_owned(), wrong);
            assert_eq!(
                Event::parse(version, object),
                Err(FormatError::Field(field)),
                "{field} in {version}"
            );
        }
        let other_form = match version.references {
            References::Ids => Value::Array(vec![vec!["$x:a.example"].into()]),
            References::Pairs => vec!["$x:a.example"].into(),
        };
        let mut object = good.object().clone();
        object.insert("auth_events".to_owned(), other_form);
        assert_eq!(
            Event::parse(version, object),
            Err(FormatError::Field("auth_events"))
        );
    }
}

#[test]
fn references_are_limited_except_in_history() {
    for version in RoomVersion::all() {
        let parents: Vec<Parent> = (0..21).map(|_| parent(1)).collect();
        assert!(seal(version, draft(body(1)), &parents[..20]).is_ok());
        assert!(seal(version, draft(body(1)), &parents).is_err());
        let good = seal(version, draft(body(1)), &[parent(1)]).unwrap();
        for (field, count, error) in [
            ("prev_events", 21, FormatError::TooManyPrevEvents),
            ("auth_events", 11, FormatError::TooManyAuthEvents),
        ] {
            let one = good.object()["prev_events"].as_array().unwrap()[0].clone();
            let mut object = good.object().clone();
            object.insert(field.to_owned(), Value::Array(vec![one; count]));
            assert_eq!(Event::parse(version, object.clone()), Err(error));
            assert!(Event::parse_history(version, object).is_ok());
        }
    }
}

/// Room version 6, "Canonical JSON". Our own events follow it in every version.
#[test]
fn numbers_are_canonical_from_version_6_on() {
    for version in RoomVersion::all() {
        for number in [
            Value::Float(1.5),
            Value::Integer(1 << 53),
            Value::Loose("0".into()),
        ] {
            let content = object! { "number" => Value::Array(vec![number]) };
            assert!(matches!(
                seal(version, draft(content.clone()), &[]),
                Err(SealError::NotCanonical(_))
            ));
            let mut object = seal(version, draft(body(1)), &[]).unwrap().object().clone();
            object.insert("content".to_owned(), content.into());
            let lenient = Event::parse(version, object).is_ok();
            assert_eq!(
                lenient,
                version.json == spec::json::Strictness::Lenient,
                "version {version}"
            );
        }
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| {
        let value = (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        object! { "nested" => value }
    };
    let version = RoomVersion::get("12").unwrap();
    // The event itself and its content are two.
    let deepest = seal(version, draft(nested(MAX_EVENT_DEPTH - 2)), &[]).unwrap();
    assert!(Event::parse(version, deepest.object().clone()).is_ok());
    let refused = seal(version, draft(nested(MAX_EVENT_DEPTH - 1)), &[]);
    assert_eq!(refused, Err(SealError::Format(FormatError::TooDeep)));
}

#[test]
fn what_is_unsigned_is_not_believed() {
    let room = RoomFixture::new("11", "@alice:a.example", "public");
    let mut object = room.event(1).object().clone();
    object.insert(
        "unsigned".to_owned(),
        object! { "membership" => "join" }.into(),
    );
    let parsed = Event::parse(room.version(), object).unwrap();
    assert_eq!(&parsed, &**room.event(1));
    let ours = parsed.with_unsigned(Some(object! { "age" => 1 }));
    assert_eq!(ours.unsigned(), Some(&object! { "age" => 1 }));
    assert_eq!(ours.with_unsigned(None), parsed);
}

/// A key `event_id` has no meaning from version 3 on; but redaction keeps it, so it counts like all that is kept.
#[test]
fn an_event_id_of_ones_own_does_not_name_an_event() {
    let room = RoomFixture::new("11", "@alice:a.example", "public");
    let mut object = room.event(1).object().clone();
    object.insert("event_id".to_owned(), "$chosen".into());
    let parsed = Event::parse(room.version(), object.clone()).unwrap();
    assert_ne!(parsed.id().as_str(), "$chosen");
    assert_ne!(parsed.id(), room.event(1).id());
    object.remove("event_id");
    assert_eq!(
        &Event::parse(room.version(), object).unwrap(),
        &**room.event(1)
    );
}
