//! The list of public rooms of another server: server-server API, "Public Room Directory".

use engine::{PublicRooms, PublicRoomsAsk, peers::PeerError};
use http::Method;
use ruma::{
    ServerName, UInt,
    directory::{PublicRoomsChunk, RoomNetwork},
};
use spec::json::{Object, Strictness, Value, encode, parse_object};

use super::{invalid, v1};
use crate::{client::Ask, uri::Uri};

/// The question. Without a filter it is one that old servers understand, too.
pub(super) fn ask(ask: &PublicRoomsAsk) -> Ask {
    let uri = v1("publicRooms");
    if ask.filter.is_none() {
        return Ask::get(in_query(ask, uri));
    }
    let text = serde_json::to_vec(ask).unwrap_or_default();
    let body = parse_object(&text, Strictness::Lenient).unwrap_or_default();
    Ask::with(Method::POST, uri, body)
}

fn in_query(ask: &PublicRoomsAsk, mut uri: Uri) -> Uri {
    if let Some(limit) = ask.limit {
        uri = uri.query("limit", limit.to_string());
    }
    if let Some(since) = &ask.since {
        uri = uri.query("since", since);
    }
    match &ask.network {
        RoomNetwork::All => uri.query("include_all_networks", "true"),
        RoomNetwork::ThirdParty(network) => uri.query("third_party_instance_id", network),
        _ => uri,
    }
}

/// The rooms of an answer that are what rooms should be; the others are left out.
pub(super) fn page(server: &ServerName, answer: &mut Object) -> Result<PublicRooms, PeerError> {
    let Some(Value::Array(chunk)) = answer.remove("chunk") else {
        return Err(invalid(server, "chunk"));
    };
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let total = answer.get("total_room_count_estimate");
    Ok(PublicRooms {
        chunk: chunk.iter().filter_map(one).collect(),
        next_batch: text("next_batch"),
        prev_batch: text("prev_batch"),
        total_room_count_estimate: total.and_then(|total| UInt::try_from(total.as_i64()?).ok()),
    })
}

fn one(value: &Value) -> Option<PublicRoomsChunk> {
    serde_json::from_str(&encode(value)).ok()
}

#[cfg(test)]
mod tests {
    use ruma::server_name;
    use spec::json::{Strictness, parse_object};

    use super::page;

    #[test]
    fn what_is_no_room_is_left_out() {
        let text = br#"{"chunk": [
            {"room_id": "!a:there", "num_joined_members": 2, "world_readable": true, "guest_can_join": false, "name": "A"},
            {"room_id": "no id", "num_joined_members": 2, "world_readable": true, "guest_can_join": false},
            {"room_id": "!b:there", "num_joined_members": -2, "world_readable": true, "guest_can_join": false},
            17, {}
        ], "next_batch": "more", "total_room_count_estimate": -1}"#;
        let mut answer = parse_object(text, Strictness::Lenient).unwrap();
        let page = page(server_name!("there"), &mut answer).unwrap();
        assert_eq!(page.chunk.len(), 1);
        assert_eq!(page.chunk[0].name.as_deref(), Some("A"));
        assert_eq!(page.next_batch.as_deref(), Some("more"));
        assert_eq!(page.total_room_count_estimate, None);
    }

    #[test]
    fn an_answer_without_rooms_is_none() {
        let mut answer = parse_object(b"{}", Strictness::Lenient).unwrap();
        assert!(page(server_name!("there"), &mut answer).is_err());
    }
}
