//! What a room shows of itself, in the form in which people and other servers get it: client-server API,
//! `definitions/room_summary`.

use ruma::{
    EventEncryptionAlgorithm, OwnedRoomId, RoomAliasId, UInt,
    room::{JoinRuleSummary, RestrictedSummary, RoomSummary, RoomType},
};
use storage::summaries::Summary;

use crate::room_meta::RoomMeta;

/// The summary of a room of this server.
pub(crate) fn of(meta: &RoomMeta, stored: Summary) -> RoomSummary {
    let joined = u64::try_from(stored.joined).unwrap_or_default();
    let mut summary = RoomSummary::new(
        meta.id.clone(),
        join_rule(&stored),
        stored.guest_can_join,
        UInt::new(joined).unwrap_or_default(),
        stored.world_readable,
    );
    let alias = stored.canonical_alias;
    summary.canonical_alias = alias.and_then(|alias| RoomAliasId::parse(alias).ok());
    summary.name = stored.name;
    summary.topic = stored.topic;
    summary.avatar_url = stored.avatar_url.map(Into::into);
    summary.room_type = stored.room_type.map(RoomType::from);
    summary.encryption = stored.encryption.map(EventEncryptionAlgorithm::from);
    summary.room_version = meta.version.id().try_into().ok();
    summary
}

fn join_rule(stored: &Summary) -> JoinRuleSummary {
    let allowed = || RestrictedSummary::new(allowed_rooms(stored));
    match stored.join_rule.as_str() {
        "public" => JoinRuleSummary::Public,
        "knock" => JoinRuleSummary::Knock,
        "restricted" => JoinRuleSummary::Restricted(allowed()),
        "knock_restricted" => JoinRuleSummary::KnockRestricted(allowed()),
        "private" => JoinRuleSummary::Private,
        _ => JoinRuleSummary::Invite,
    }
}

/// The rooms whose members may join.
pub(crate) fn allowed_rooms(stored: &Summary) -> Vec<OwnedRoomId> {
    let rooms = stored.allowed_rooms.as_deref();
    rooms
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}
