//! Getting into rooms of another server, and out: joins, knocks, invites and leaves.

use ruma::{OwnedEventId, OwnedRoomId};
use spec::{
    json::{Object, Value},
    object,
    room_version::RoomVersion,
};

use super::{
    federation::{Pair, name, pairs},
    fixture::{House, Person, target, with_account},
};
use crate::{CreateRoom, Error, InitialState, Preset, Result, SetState, inbound::Signed};

/// A private room with this join rule.
async fn room_with(creator: &Person, version: &RoomVersion, rule: Object) -> OwnedRoomId {
    let ask = CreateRoom {
        room_version: Some(version.id().to_owned()),
        preset: Some(Preset::Private),
        initial_state: vec![InitialState {
            event_type: "m.room.join_rules".to_owned(),
            state_key: String::new(),
            content: rule,
        }],
        ..CreateRoom::default()
    };
    let created = creator.engine.create_room(&creator.requester, ask).await;
    created.expect("the room is created")
}

fn knock_rule() -> Object {
    object! { "join_rule" => "knock" }
}

/// Lets in the members of these rooms.
fn restricted(allowed: &[&str]) -> Object {
    let condition =
        |room: &&str| Value::Object(object! { "type" => "m.room_membership", "room_id" => *room });
    let mut conditions: Vec<Value> = allowed.iter().map(condition).collect();
    conditions.insert(0, "no condition".into());
    object! { "join_rule" => "restricted", "allow" => Value::Array(conditions) }
}

async fn joins_via(person: &Person, room: &OwnedRoomId, house: &House) -> Result<()> {
    let (by, via) = (&person.requester, vec![name(house)]);
    person.engine.join(by, room, via, None, Object::new()).await
}

async fn knocks_via(person: &Person, room: &OwnedRoomId, house: &House) -> Result<()> {
    let (via, reason) = (vec![name(house)], Some("please".to_owned()));
    person
        .engine
        .knock(&person.requester, room, via, reason)
        .await
}

/// The content of `of`'s member event and its id, as `seen_by` sees the room.
async fn member(
    seen_by: &Person,
    room: &OwnedRoomId,
    of: &Person,
) -> (serde_json::Value, OwnedEventId) {
    let room = seen_by.room(room).await;
    let events = room.state(&seen_by.requester).await.unwrap();
    let user = of.requester.user_id.as_str();
    let mut events = events.iter().map(|event| {
        event
            .deserialize_as_unchecked::<serde_json::Value>()
            .unwrap()
    });
    let found = events.find(|event| event["type"] == "m.room.member" && event["state_key"] == user);
    let found = found.unwrap_or_else(|| panic!("{user} has no membership"));
    let id = found["event_id"].as_str().unwrap().try_into().unwrap();
    (found["content"].clone(), id)
}

async fn membership(seen_by: &Person, room: &OwnedRoomId, of: &Person) -> String {
    let (content, _) = member(seen_by, room, of).await;
    content["membership"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_knock_crosses_over_is_answered_by_an_invite_and_becomes_a_join() {
    for pair in pairs().await {
        let (alice, bob) = (
            pair.here.person("alice"),
            with_account(&pair.there, "bob").await,
        );
        for version in RoomVersion::all() {
            let id = version.id();
            let room = room_with(&alice, version, knock_rule()).await;
            let since = bob.syncs(None).await.next_batch;
            let knocked = knocks_via(&bob, &room, &pair.here).await;
            if !version.auth.knock {
                assert!(
                    matches!(knocked, Err(Error::Forbidden(_))),
                    "{id}: {knocked:?}"
                );
                continue;
            }
            assert!(knocked.is_ok(), "{id}: {knocked:?}");
            let (content, _) = member(&alice, &room, &bob).await;
            assert_eq!(content["membership"], "knock", "{id}");
            assert_eq!(content["reason"], "please", "{id}");
            let seen = bob.syncs(Some(&since)).await;
            let state = format!("{:?}", seen.rooms.knock[&room].knock_state.events);
            assert!(state.contains("m.room.create"), "{id}: {state}");
            assert!(!state.contains("signatures"), "{id}: {state}");

            alice.invites(&room, &bob).await.unwrap();
            let seen = bob.syncs(Some(&seen.next_batch)).await;
            assert!(seen.rooms.invite.contains_key(&room), "{id}: {seen:?}");
            let again = knocks_via(&bob, &room, &pair.here).await;
            assert!(matches!(again, Err(Error::Forbidden(_))), "{id}: {again:?}");
            joins_via(&bob, &room, &pair.here).await.unwrap();
            assert_eq!(membership(&alice, &room, &bob).await, "join", "{id}");
            assert_eq!(membership(&bob, &room, &bob).await, "join", "{id}");
        }
    }
}

#[tokio::test]
async fn a_knock_is_taken_back_and_one_is_refused() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = room_with(&alice, RoomVersion::get("12").unwrap(), knock_rule()).await;
        knocks_via(&bob, &room, &pair.here).await.unwrap();
        bob.leaves(&room).await.unwrap();
        assert_eq!(membership(&alice, &room, &bob).await, "leave");

        knocks_via(&bob, &room, &pair.here).await.unwrap();
        let since = bob.syncs(None).await.next_batch;
        let handle = alice.room(&room).await;
        let kick = handle.kick(&alice.requester, target(&bob)).await.unwrap();
        // This server is not in the room, and so may not fetch it: it comes by itself.
        let kick = sealed(&alice, &room, &kick).await;
        pair.there
            .engine
            .inbound()
            .pdus(&name(&pair.here), vec![kick])
            .await
            .unwrap();
        let seen = bob.syncs(Some(&since)).await;
        assert!(seen.rooms.leave.contains_key(&room), "{seen:?}");

        // Where the other server is away, the user is out all the same.
        knocks_via(&bob, &room, &pair.here).await.unwrap();
        pair.cut_off(true);
        let since = bob.syncs(None).await.next_batch;
        bob.leaves(&room).await.unwrap();
        assert!(
            bob.syncs(Some(&since))
                .await
                .rooms
                .leave
                .contains_key(&room)
        );
        pair.cut_off(false);
    }
}

/// An event as its server sends it.
async fn sealed(of: &Person, room: &OwnedRoomId, id: &OwnedEventId) -> Object {
    let room = of.room(room).await;
    let placed = room.placed(id).await.unwrap().expect("it is in the room");
    placed.known.event.with_unsigned(None).object().clone()
}

#[tokio::test]
async fn the_members_of_a_room_may_join_another_over_servers() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        for version in RoomVersion::all()
            .iter()
            .filter(|version| version.auth.restricted)
        {
            let id = version.id();
            let lobby = alice.creates(id, Preset::Public).await;
            let room = room_with(&alice, version, restricted(&[lobby.as_str()])).await;
            let early = joins_via(&bob, &room, &pair.here).await;
            assert!(matches!(early, Err(Error::Forbidden(_))), "{id}: {early:?}");
            joins_via(&bob, &lobby, &pair.here).await.unwrap();
            joins_via(&bob, &room, &pair.here).await.unwrap();
            for seen_by in [&alice, &bob] {
                let (content, _) = member(seen_by, &room, &bob).await;
                assert_eq!(content["membership"], "join", "{id}");
                assert_eq!(
                    content["join_authorised_via_users_server"], "@alice:here",
                    "{id}"
                );
            }
            let (_, event) = member(&bob, &room, &bob).await;
            let join = sealed(&bob, &room, &event).await;
            let signatures = join["signatures"].as_object().unwrap();
            assert!(signatures.contains_key("here") && signatures.contains_key("there"));
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_let_anybody_in_asks_one_that_can() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let [bob, carol, eve] = ["bob", "carol", "eve"].map(|name| pair.there.person(name));
        for version in RoomVersion::all()
            .iter()
            .filter(|version| version.auth.restricted)
        {
            let id = version.id();
            let lobby = alice.creates(id, Preset::Public).await;
            let room = room_with(&alice, version, restricted(&[lobby.as_str()])).await;
            for person in [&bob, &carol] {
                joins_via(person, &lobby, &pair.here).await.unwrap();
            }
            // The second join was decided there.
            let (_, joined) = member(&carol, &lobby, &carol).await;
            pair.deliver(&pair.there, &pair.here, &[joined]).await;
            // Only alice may invite from now on.
            let levels = object! {
                "invite" => 50,
                "users" => if version.auth.implied_create {
                    object! {}
                } else {
                    object! { "@alice:here" => 100 }
                },
            };
            let levels = SetState {
                event_type: "m.room.power_levels".to_owned(),
                state_key: String::new(),
                content: levels,
            };
            let handle = alice.room(&room).await;
            handle.set_state(&alice.requester, levels).await.unwrap();
            joins_via(&bob, &room, &pair.here).await.unwrap();

            joins_via(&carol, &room, &pair.there).await.unwrap();
            assert_eq!(membership(&bob, &room, &carol).await, "join", "{id}");
            assert_eq!(membership(&alice, &room, &carol).await, "join", "{id}");
            let refused = joins_via(&eve, &room, &pair.there).await;
            assert!(
                matches!(refused, Err(Error::Forbidden(_))),
                "{id}: {refused:?}"
            );
            pair.cut_off(true);
            joins_via(&eve, &lobby, &pair.there).await.unwrap();
            let alone = joins_via(&eve, &room, &pair.there).await;
            assert!(
                matches!(alone, Err(Error::UnableToGrantJoin)),
                "{id}: {alone:?}"
            );
            pair.cut_off(false);
        }
    }
}

#[tokio::test]
async fn a_server_says_that_it_cannot_tell_who_may_join() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let version = RoomVersion::get("10").unwrap();
        let room = room_with(&alice, version, restricted(&["!unknown:there"])).await;
        let made = pair
            .here
            .engine
            .inbound()
            .make_membership(
                &name(&pair.there),
                "join",
                &room,
                &bob.requester.user_id,
                None,
            )
            .await;
        assert!(
            matches!(made, Err(Error::UnableToAuthoriseJoin)),
            "{made:?}"
        );
        let nobody = room_with(
            &alice,
            version,
            object! { "join_rule" => "restricted", "allow" => 7 },
        );
        let closed = joins_via(&bob, &nobody.await, &pair.here).await;
        assert!(matches!(closed, Err(Error::Forbidden(_))), "{closed:?}");
    }
}

#[tokio::test]
async fn nobody_names_who_lets_them_in_themselves() {
    for pair in pairs().await {
        let [alice, eve, ann] = ["alice", "eve", "ann"].map(|name| pair.here.person(name));
        let version = RoomVersion::get("10").unwrap();
        let lobby = alice.creates("10", Preset::Public).await;
        let room = room_with(&alice, version, restricted(&[lobby.as_str()])).await;
        let forged = SetState {
            event_type: "m.room.member".to_owned(),
            state_key: "@eve:here".to_owned(),
            content: object! {
                "membership" => "join",
                "join_authorised_via_users_server" => "@alice:here",
            },
        };
        let handle = eve.room(&room).await;
        let refused = handle.set_state(&eve.requester, forged).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
        ann.joins(&lobby).await.unwrap();
        ann.joins(&room).await.unwrap();
        let (content, _) = member(&alice, &room, &ann).await;
        assert_eq!(content["join_authorised_via_users_server"], "@alice:here");
    }
}

#[tokio::test]
async fn two_who_join_at_once_are_both_in_the_room_and_one_who_joins_twice_is_once() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let [bob, carol] = ["bob", "carol"].map(|name| pair.there.person(name));
        for version in ["1", "10", "12"] {
            let room = alice.creates(version, Preset::Public).await;
            let (one, other, again) = tokio::join!(
                joins_via(&bob, &room, &pair.here),
                joins_via(&carol, &room, &pair.here),
                joins_via(&bob, &room, &pair.here),
            );
            assert!(one.is_ok() && other.is_ok() && again.is_ok(), "{version}");
            for person in [&bob, &carol] {
                assert_eq!(membership(&bob, &room, person).await, "join", "{version}");
            }
        }
    }
}

#[tokio::test]
async fn a_join_that_was_refused_stays_refused() {
    for pair in pairs().await {
        for version in ["1", "6", "12"] {
            let (room, alice, bob) = pair.joined_room(version).await;
            let (_, event) = member(&bob, &room, &bob).await;
            let join = sealed(&alice, &room, &event).await;
            let handle = alice.room(&room).await;
            handle.ban(&alice.requester, target(&bob)).await.unwrap();
            let inbound = pair.here.engine.inbound();
            let there = name(&pair.there);
            let user = &bob.requester.user_id;
            let made = inbound
                .make_membership(&there, "join", &room, user, None)
                .await;
            assert!(matches!(made, Err(Error::Denied(_))), "{version}: {made:?}");
            let send = async |membership, pdu: &Object, event_id: &OwnedEventId| {
                let signed = Signed {
                    membership,
                    event_id: event_id.clone(),
                    pdu: pdu.clone(),
                    omit_members: false,
                };
                inbound
                    .send_membership(&there, &room, signed)
                    .await
                    .map(drop)
            };
            let kind = send("leave", &join, &event).await;
            assert!(
                matches!(kind, Err(Error::InvalidParam(_))),
                "{version}: {kind:?}"
            );
            let other = "$another:there".try_into().unwrap();
            let id = send("join", &join, &other).await;
            assert!(
                matches!(id, Err(Error::InvalidParam(_))),
                "{version}: {id:?}"
            );
            let mut unsigned = join.clone();
            unsigned.insert("signatures".to_owned(), Object::new().into());
            let signature = send("join", &unsigned, &event).await;
            assert!(
                matches!(signature, Err(Error::Forbidden(_))),
                "{version}: {signature:?}"
            );
            let mut shapeless = join.clone();
            shapeless.insert("sender".to_owned(), 7.into());
            let shape = send("join", &shapeless, &event).await;
            assert!(
                matches!(shape, Err(Error::BadJson(_))),
                "{version}: {shape:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_join_is_answered_without_most_members_where_that_is_asked_for() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("12").await;
        for person in ["ann", "bea", "cleo", "dora", "ella", "faye"] {
            pair.here.person(person).joins(&room).await.unwrap();
        }
        alice.says(&room, "so many").await.unwrap();
        let (_, event) = member(&bob, &room, &bob).await;
        let join = sealed(&alice, &room, &event).await;
        let members = async |omit_members| {
            let signed = Signed {
                membership: "join",
                event_id: event.clone(),
                pdu: join.clone(),
                omit_members,
            };
            let inbound = pair.here.engine.inbound();
            let sent = inbound
                .send_membership(&name(&pair.there), &room, signed)
                .await;
            let sent = sent.unwrap();
            let in_both = sent
                .state
                .iter()
                .any(|event| sent.auth_chain.contains(event));
            // Only who asks for less gets no event twice.
            assert!(in_both != omit_members && sent.members_omitted == omit_members);
            assert_eq!(sent.servers, [name(&pair.here), name(&pair.there)]);
            let is_member = |event: &&Object| event["type"].as_str() == Some("m.room.member");
            let chain = sent.auth_chain.iter().filter(is_member).count();
            (sent.state.iter().filter(is_member).count(), chain)
        };
        // Alice alone was there before bob. Without a name she stands for the room.
        assert_eq!(members(false).await, (1, 1));
        assert_eq!(members(true).await, (1, 0));
    }
}

#[tokio::test]
async fn an_invite_must_be_what_it_says() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        with_account(&pair.there, "bob").await;
        for version in ["1", "10", "12"] {
            let room = room_with(&alice, RoomVersion::get(version).unwrap(), knock_rule()).await;
            let handle = alice.room(&room).await;
            let state = handle
                .preview_events(Some(&alice.requester.user_id))
                .await
                .unwrap();
            let types: Vec<_> = state
                .iter()
                .filter_map(|event| event["type"].as_str())
                .collect();
            assert!(types.contains(&"m.room.member") && types.contains(&"m.room.create"));
            let invite =
                async |user: &str, event_type: &str, membership: &str, state: Vec<Object>| {
                    let draft = spec::event::Draft {
                        room_id: Some(room.clone()),
                        sender: alice.requester.user_id.clone(),
                        event_type: event_type.to_owned(),
                        state_key: Some(user.to_owned()),
                        content: object! { "membership" => membership },
                        redacts: None,
                    };
                    let invite = handle
                        .run(move |room| Box::pin(async move { room.propose(draft).await }))
                        .await
                        .unwrap();
                    let (inbound, here) = (pair.there.engine.inbound(), name(&pair.here));
                    let pdu = invite.object().clone();
                    inbound
                        .invite(&here, &room, invite.id(), Some(version), pdu, state)
                        .await
                };
            let kind = invite("@bob:there", "m.room.member", "ban", state.clone()).await;
            assert!(
                matches!(kind, Err(Error::InvalidParam(_))),
                "{version}: {kind:?}"
            );
            let kind = invite("there", "m.room.other", "invite", state.clone()).await;
            assert!(
                matches!(kind, Err(Error::InvalidParam(_))),
                "{version}: {kind:?}"
            );
            let whom = invite("@ann:here", "m.room.member", "invite", state.clone()).await;
            assert!(
                matches!(whom, Err(Error::InvalidParam(_))),
                "{version}: {whom:?}"
            );
            let whom = invite("@nobody:there", "m.room.member", "invite", state.clone()).await;
            assert!(
                matches!(whom, Err(Error::NotFound(_))),
                "{version}: {whom:?}"
            );

            let strict = version == "12";
            let bob = "@bob:there";
            let bare = invite(bob, "m.room.member", "invite", Vec::new()).await;
            assert_eq!(
                matches!(bare, Err(Error::MissingParam(_))),
                strict,
                "{version}: {bare:?}"
            );
            let headless: Vec<Object> = state.iter().skip(1).cloned().collect();
            let headless = invite(bob, "m.room.member", "invite", headless).await;
            assert_eq!(headless.is_err(), strict, "{version}: {headless:?}");
            let mut forged = state.clone();
            for event in &mut forged {
                event.insert("signatures".to_owned(), Object::new().into());
            }
            let forged = invite(bob, "m.room.member", "invite", forged).await;
            assert_eq!(
                matches!(forged, Err(Error::InvalidParam(_))),
                strict,
                "{version}: {forged:?}"
            );
            let foreign = room_with(&alice, RoomVersion::get(version).unwrap(), knock_rule()).await;
            let foreign = alice.room(&foreign).await;
            let foreign = foreign.preview_events(None).await.unwrap();
            let foreign = invite(bob, "m.room.member", "invite", foreign).await;
            assert_eq!(
                matches!(foreign, Err(Error::InvalidParam(_))),
                strict,
                "{version}: {foreign:?}"
            );
            invite(bob, "m.room.member", "invite", state).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_room_for_one_server_lets_nobody_else_in() {
    for pair in pairs().await {
        let (alice, bob) = (
            pair.here.person("alice"),
            with_account(&pair.there, "bob").await,
        );
        let ask = CreateRoom {
            preset: Some(Preset::Public),
            creation_content: object! { "m.federate" => false },
            ..CreateRoom::default()
        };
        let room = alice
            .engine
            .create_room(&alice.requester, ask)
            .await
            .unwrap();
        let invited = alice.invites(&room, &bob).await;
        assert!(matches!(invited, Err(Error::Forbidden(_))), "{invited:?}");
        let joined = joins_via(&bob, &room, &pair.here).await;
        assert!(matches!(joined, Err(Error::Forbidden(_))), "{joined:?}");
    }
}

#[tokio::test]
async fn an_invite_is_taken_back_by_who_sent_it_and_by_nobody_else() {
    for pair in pairs().await {
        let (alice, bob) = (
            pair.here.person("alice"),
            with_account(&pair.there, "bob").await,
        );
        let mallory = pair.here.person("mallory");
        for version in ["1", "6", "12"] {
            let room = alice.creates(version, Preset::Public).await;
            mallory.joins(&room).await.unwrap();
            alice.invites(&room, &bob).await.unwrap();
            let since = bob.syncs(None).await.next_batch;
            let here = name(&pair.here);
            let others = kick_by(&mallory, &room, &bob).await;
            pair.there
                .engine
                .inbound()
                .pdus(&here, vec![others])
                .await
                .unwrap();
            assert!(
                bob.syncs(Some(&since)).await.rooms.leave.is_empty(),
                "{version}"
            );
            let handle = alice.room(&room).await;
            let kick = handle.kick(&alice.requester, target(&bob)).await.unwrap();
            let kick = sealed(&alice, &room, &kick).await;
            pair.there
                .engine
                .inbound()
                .pdus(&here, vec![kick])
                .await
                .unwrap();
            let seen = bob.syncs(Some(&since)).await;
            assert!(seen.rooms.leave.contains_key(&room), "{version}: {seen:?}");
        }
    }
}

/// A kick that the rules do not allow, and that its server sends all the same.
async fn kick_by(sender: &Person, room: &OwnedRoomId, whom: &Person) -> Object {
    let handle = sender.room(room).await;
    let (_, invite) = member(sender, room, whom).await;
    let invite = handle.placed(&invite).await.unwrap().unwrap();
    let version = handle.meta.version;
    let parent = spec::event::Parent::of(version, &invite.known.event);
    let draft = spec::event::Draft {
        room_id: Some(room.clone()),
        sender: sender.requester.user_id.clone(),
        event_type: "m.room.member".to_owned(),
        state_key: Some(whom.requester.user_id.to_string()),
        content: object! { "membership" => "leave" },
        redacts: None,
    };
    let parents = [parent];
    let key = &handle.context.key;
    let sealed = draft.seal(
        version,
        &parents,
        &parents,
        1_700_000_000_000,
        "a seed",
        key,
    );
    sealed.unwrap().object().clone()
}

#[tokio::test]
async fn a_room_that_a_hostile_server_gives_is_not_entered() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = pair.there.person("bob");
        let room = alice.creates("10", Preset::Public).await;
        for lie in [Lie::NoCreate, Lie::OtherRoom, Lie::Unsigned, Lie::Twice] {
            lies(&pair, lie, &alice, &room).await;
            let joined = joins_via(&bob, &room, &pair.here).await;
            assert!(
                matches!(joined, Err(Error::Unreachable(_))),
                "{lie:?}: {joined:?}"
            );
            assert!(bob.syncs(None).await.rooms.join.is_empty(), "{lie:?}");
        }
        *pair.meddler.lock().unwrap() = None;
        joins_via(&bob, &room, &pair.here).await.unwrap();
        assert_eq!(membership(&bob, &room, &alice).await, "join");
    }
}

/// What a server that is joined through says of the room.
#[derive(Clone, Copy, Debug)]
enum Lie {
    NoCreate,
    OtherRoom,
    Unsigned,
    Twice,
}

/// Changes the state of the next rooms that are given away.
async fn lies(pair: &Pair, lie: Lie, alice: &Person, room: &OwnedRoomId) {
    let other = alice.creates("10", Preset::Public).await;
    let other = alice.room(&other).await.preview_events(None).await.unwrap();
    let (_, own) = member(alice, room, alice).await;
    let own = sealed(alice, room, &own).await;
    let meddle = move |mut state: Vec<Object>| {
        match lie {
            Lie::NoCreate => state.retain(|event| event["type"].as_str() != Some("m.room.create")),
            Lie::OtherRoom => state = other.clone(),
            Lie::Unsigned => {
                for event in &mut state {
                    event.insert("signatures".to_owned(), Object::new().into());
                }
            }
            Lie::Twice => {
                let version = RoomVersion::get("10").expect("it is known");
                let mut again = own.clone();
                again.remove("signatures");
                again.insert("depth".to_owned(), 77.into());
                super::wire::key_of("here".try_into().expect("a name"))
                    .sign_event(version, &mut again);
                state.push(again);
            }
        }
        state
    };
    *pair.meddler.lock().unwrap() = Some(Box::new(meddle));
}

#[tokio::test]
async fn servers_that_could_not_be_reached_lately_are_asked_last() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = pair.there.person("bob");
        let room = alice.creates("12", Preset::Public).await;
        let here = name(&pair.here);
        let gone = ["gone", "away"].map(|name| ruma::ServerName::parse(name).unwrap());
        pair.script.resting.lock().unwrap().extend(gone.clone());
        let via = [&gone[0], &gone[1], &here].map(Clone::clone).to_vec();
        let join = bob
            .engine
            .join(&bob.requester, &room, via, None, Object::new());
        join.await.unwrap();
        let calls = pair.script.calls.lock().unwrap();
        let asked: Vec<_> = calls.iter().map(|call| call.to.clone()).collect();
        assert_eq!(asked, [here], "the others are not needed");
    }
}

/// Its first version names no room version: it may be one of two.
#[tokio::test]
async fn an_invite_without_a_version_is_one_of_the_room_as_it_is_known() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        with_account(&pair.there, "bob").await;
        let room = room_with(&alice, RoomVersion::get("2").unwrap(), knock_rule()).await;
        let handle = alice.room(&room).await;
        let state = handle
            .preview_events(Some(&alice.requester.user_id))
            .await
            .unwrap();
        for version in [Some("2"), None] {
            let draft = spec::event::Draft {
                room_id: Some(room.clone()),
                sender: alice.requester.user_id.clone(),
                event_type: "m.room.member".to_owned(),
                state_key: Some("@bob:there".to_owned()),
                content: object! { "membership" => "invite" },
                redacts: None,
            };
            let invite = handle
                .run(move |room| Box::pin(async move { room.propose(draft).await }))
                .await
                .unwrap();
            let (inbound, here) = (pair.there.engine.inbound(), name(&pair.here));
            let pdu = invite.object().clone();
            let taken = inbound.invite(&here, &room, invite.id(), version, pdu, state.clone());
            assert!(taken.await.is_ok(), "{version:?}");
            let known = pair.there.engine.room(&room).await.unwrap();
            assert_eq!(known.meta.version.id(), "2");
        }
    }
}

/// Who came in by an invite has a member event that stands on another one, and what they set stands on that: all of it is in
/// the state and in the auth chain.
#[tokio::test]
async fn what_stands_in_state_and_auth_chain_is_taken_over_as_well() {
    for pair in pairs().await {
        let (alice, dave) = (pair.here.person("alice"), pair.here.person("dave"));
        let bob = pair.there.person("bob");
        with_account(&pair.here, "dave").await;
        let room = alice.creates("10", Preset::Public).await;
        let handle = alice.room(&room).await;
        let invite = handle.invite(&alice.requester, target(&dave));
        invite.await.unwrap();
        dave.joins(&room).await.unwrap();
        let levels = object! {
            "state_default" => 0,
            "users" => object! { "@alice:here" => 100, "@dave:here" => 50 },
        };
        for (by, event_type, content) in [
            (&alice, "m.room.power_levels", levels),
            (
                &dave,
                "m.room.topic",
                object! { "topic" => "of an invited one" },
            ),
        ] {
            let ask = SetState {
                event_type: event_type.to_owned(),
                state_key: String::new(),
                content,
            };
            handle.set_state(&by.requester, ask).await.unwrap();
        }
        let via = vec![name(&pair.here)];
        let join = bob
            .engine
            .join(&bob.requester, &room, via, None, Object::new());
        join.await.unwrap();
        let there = bob.room(&room).await;
        for (event_type, state_key) in [("m.room.member", "@dave:here"), ("m.room.topic", "")] {
            let known = there
                .state_event(&bob.requester, event_type, state_key)
                .await;
            assert!(known.is_ok(), "{event_type}: {known:?}");
        }
    }
}

impl Person {
    /// Sets their own member event.
    async fn becomes(&self, room: &OwnedRoomId, membership: &str) -> Result<OwnedEventId> {
        let ask = SetState {
            event_type: "m.room.member".to_owned(),
            state_key: self.requester.user_id.to_string(),
            content: object! { "membership" => membership, "org.example" => "own" },
        };
        self.engine.set_state(&self.requester, room, ask).await
    }
}

/// SEND-02, MEMB-03: an invite to a room of another server is rejected and accepted by setting state, too.
#[tokio::test]
async fn a_membership_set_as_state_reaches_other_servers() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = with_account(&pair.there, "bob").await;
        let room = alice.creates("11", Preset::Private).await;
        alice.invites(&room, &bob).await.unwrap();
        bob.becomes(&room, "leave").await.unwrap();
        assert_eq!(membership(&alice, &room, &bob).await, "leave");
        alice.invites(&room, &bob).await.unwrap();
        let id = bob.becomes(&room, "join").await.unwrap();
        let (content, seen) = member(&alice, &room, &bob).await;
        assert_eq!((&content["membership"], seen), (&"join".into(), id));
        assert_eq!(content["org.example"], "own");
        let open = room_with(&alice, RoomVersion::get("11").unwrap(), knock_rule()).await;
        knocks_via(&bob, &open, &pair.here).await.unwrap();
        bob.becomes(&open, "leave").await.unwrap();
        bob.becomes(&open, "knock").await.unwrap();
        assert_eq!(membership(&alice, &open, &bob).await, "knock");
    }
}

/// A room that is known by an invite only has no levels here, so that nobody may do in it what asks for one.
#[tokio::test]
async fn nobody_rules_in_a_room_that_is_known_by_an_invite() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = with_account(&pair.there, "bob").await;
        let room = alice.creates("11", Preset::Private).await;
        let invite = alice.invites(&room, &bob).await.unwrap();
        let handle = bob.room(&room).await;
        let listed = handle.set_published(&bob.requester, true).await;
        assert!(matches!(listed, Err(Error::Forbidden(_))), "{listed:?}");
        let ask = crate::Redact {
            event_id: invite,
            content: Object::new(),
            txn_id: None,
        };
        let redacted = handle.redact(&bob.requester, ask).await;
        assert!(matches!(redacted, Err(Error::Forbidden(_))), "{redacted:?}");
    }
}

/// Whoever is invited hears of it by their own server: an invite goes on where the client that asked for it has gone.
#[tokio::test]
async fn an_invite_is_made_to_its_end() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = with_account(&pair.there, "bob").await;
        let room = alice.creates("11", Preset::Private).await;
        let asked = std::sync::Arc::new(tokio::sync::Notify::new());
        let notify = asked.clone();
        pair.script.play(move |call| {
            if call.operation == "invite" {
                notify.notify_one();
            }
            None
        });
        tokio::select! {
            biased;
            () = asked.notified() => {}
            invited = alice.invites(&room, &bob) => panic!("not asked: {invited:?}"),
        }
        let since = alice.syncs(None).await.next_batch;
        let ask = crate::SyncAsk {
            since: Some(since),
            timeout: std::time::Duration::from_secs(30),
            ..crate::SyncAsk::default()
        };
        let handle = alice.room(&room).await;
        let key = handle
            .state_key("m.room.member", "@bob:there")
            .await
            .unwrap();
        let state = handle.current_state().await.unwrap();
        if key.is_none_or(|key| !state.contains_key(&key)) {
            alice.engine.sync(&alice.requester, &ask).await.unwrap();
        }
        assert_eq!(membership(&alice, &room, &bob).await, "invite");
    }
}

/// ROOM-07: those of other servers are invited side by side, and one that is not there keeps nobody out.
#[tokio::test]
async fn a_new_room_invites_people_of_other_servers() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let mut invite = vec!["@ghost:nowhere".try_into().unwrap()];
        let mut people = Vec::new();
        for localpart in ["bob", "carol", "dave"] {
            let person = with_account(&pair.there, localpart).await;
            invite.push(person.requester.user_id.clone());
            people.push(person);
        }
        let ask = CreateRoom {
            invite,
            ..CreateRoom::default()
        };
        let room = alice
            .engine
            .create_room(&alice.requester, ask)
            .await
            .unwrap();
        for person in &people {
            assert_eq!(membership(&alice, &room, person).await, "invite");
            assert!(person.syncs(None).await.rooms.invite.contains_key(&room));
        }
    }
}
