//! How fast the core is: `cargo bench -p spec`. The table is in `README.md`.

#![expect(clippy::unwrap_used, reason = "a benchmark that panics has failed")]

#[path = "../tests/it/ruma_room.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod ruma_room;

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ruma::UserId;
use ruma_room::RumaRoom;
use spec::{
    auth::{self, Head, Members, Membership, State as _},
    event::{Draft, Event, Parent},
    fixture::{AllKeys, RoomFixture, Say, server_key, text},
    json, object, redact, resolve,
    sign::{self, Check, KeyRing},
};

const ALICE: &str = "@alice:a.example";

fn draft(room: &RoomFixture) -> Draft {
    Draft {
        room_id: Some(room.event(0).room_id().to_owned()),
        sender: UserId::parse(ALICE).unwrap(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: text("Hello, is it me you're looking for? I can see it in your eyes."),
        redacts: None,
    }
}

/// Canonicalise, hash and sign: all of what a local message needs before it can be written.
fn seal(c: &mut Criterion) {
    let room = RoomFixture::new("12", ALICE, "invite");
    let version = room.version();
    let parents = |keys: &[usize]| -> Vec<Parent> {
        keys.iter()
            .map(|key| Parent::of(version, room.event(*key)))
            .collect()
    };
    let (prev, auth) = (parents(&[3]), parents(&[2, 1]));
    let key = server_key(UserId::parse(ALICE).unwrap().server_name());
    let mut group = c.benchmark_group("event");
    group.bench_function("build, hash and sign", |b| {
        b.iter_batched(
            || draft(&room),
            |draft| {
                draft
                    .seal(version, &prev, &auth, 1_700_000_000_000, "", &key)
                    .unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    let event = draft(&room)
        .seal(version, &prev, &auth, 1_700_000_000_000, "", &key)
        .unwrap();
    let wire = event.to_json();
    group.throughput(Throughput::Bytes(wire.len() as u64));
    group.bench_function("encode", |b| b.iter(|| black_box(&event).to_json()));
    group.bench_function("parse and check", |b| {
        b.iter(|| {
            let object = json::parse_object(black_box(wire.as_bytes()), version.json).unwrap();
            Event::parse(version, object).unwrap()
        });
    });
    group.bench_function("read from the store", |b| {
        b.iter(|| Event::from_stored(version, event.id().to_owned(), black_box(&wire)).unwrap());
    });
    group.finish();
}

/// 10,000 signatures of events of 100 servers.
fn verify(c: &mut Criterion) {
    const EVENTS: usize = 10_000;
    let room = RoomFixture::new("12", ALICE, "public");
    let version = room.version();
    let auth = [Parent::of(version, room.event(1))];
    let events: Vec<Event> = (0..EVENTS)
        .map(|number| {
            let sender =
                UserId::parse(format!("@user{number}:server{}.example", number % 100)).unwrap();
            let key = server_key(sender.server_name());
            let draft = Draft {
                sender,
                ..draft(&room)
            };
            draft
                .seal(version, &auth, &auth, number as i64, "", &key)
                .unwrap()
        })
        .collect();
    let mut keys = BTreeMap::new();
    for event in &events {
        let server = event.sender().server_name().to_owned();
        keys.entry(server)
            .or_insert_with_key(|server| AllKeys.key(server, "ed25519:fixture").unwrap());
    }
    let signed: Vec<(String, String)> = events
        .iter()
        .map(|event| {
            let mut essential = redact::redact_object(version, event.object());
            essential.remove("signatures");
            let server = event.sender().server_name().as_str();
            let (_, signature) = sign::signatures_of(event.object(), server).next().unwrap();
            (json::encode_object(&essential), signature.to_owned())
        })
        .collect();
    let checks: Vec<Check<'_>> = events
        .iter()
        .zip(&signed)
        .map(|(event, (message, signature))| Check {
            message: message.as_bytes(),
            signature,
            key: keys[event.sender().server_name()].key,
        })
        .collect();

    let mut group = c.benchmark_group("10,000 signatures");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("one by one", |b| {
        b.iter(|| {
            let valid = |check: &&Check<'_>| check.key.verify(check.message, check.signature);
            assert_eq!(checks.iter().filter(valid).count(), EVENTS);
        });
    });
    group.bench_function("in batches", |b| {
        b.iter(|| assert!(sign::verify_each(&checks).into_iter().all(|valid| valid)));
    });
    group.bench_function("in batches, one of them bad", |b| {
        let mut checks = checks.clone();
        checks[EVENTS / 2].message = b"something else";
        b.iter(|| {
            assert_eq!(
                sign::verify_each(&checks)
                    .into_iter()
                    .filter(|valid| !valid)
                    .count(),
                1
            )
        });
    });
    group.finish();
}

struct Joined;

impl Members for Joined {
    fn membership(&self, _: &str) -> Membership {
        Membership::Join
    }

    fn third_party_invite(&self, _: &str) -> Option<&Event> {
        None
    }
}

/// A message before a state with 1,000 users in its power levels.
fn authorise(c: &mut Criterion) {
    let mut room = RoomFixture::new("11", ALICE, "invite");
    let users = (0..1000).map(|number| (format!("@user{number}:b.example"), 50_i64.into()));
    let mut users: json::Object = users.collect();
    users.insert(ALICE.to_owned(), 100.into());
    room.add(Say::state(
        ALICE,
        "m.room.power_levels",
        "",
        object! { "users" => users },
    ));
    let message = room.add(Say::message(ALICE, "m.room.message", text("hello")));
    let (version, event) = (room.version(), room.event(message));
    let state = room.at(message);
    let head = Head::new(
        version,
        state.get("m.room.create", "").unwrap(),
        state.get("m.room.power_levels", ""),
        state.get("m.room.join_rules", ""),
    );
    let mut group = c.benchmark_group("authorise a message");
    group.bench_function("from a parsed head", |b| {
        b.iter(|| head.check(version, black_box(event), &Joined).unwrap());
    });
    group.bench_function("from a state", |b| {
        b.iter(|| auth::check(version, black_box(event), &state).unwrap());
    });
    group.finish();
}

/// A room of `events` state events, of which the last tenth is in two forks: renamed members, some bans, some
/// changes of power levels. The numbers of the forks' last events.
fn forked(version: &str, events: usize) -> (RoomFixture, [usize; 2]) {
    let mut room = RoomFixture::new(version, ALICE, "public");
    let user = |number: usize| format!("@user{number}:server{}.example", number % 100);
    let members = events * 9 / 10;
    for number in 0..members {
        room.add(Say::member(&user(number), &user(number), "join"));
    }
    let base = room.heads().to_vec();
    let tips = [0, 1].map(|fork| {
        room.set_heads(&base);
        for step in 0..events / 20 {
            let number = step * 7 % members;
            let say = match step % 50 {
                0 => {
                    let mut users = object! { user(step).as_str() => 50 + fork };
                    if !room.version().auth.privileged_creators {
                        users.insert(ALICE.to_owned(), 100.into());
                    }
                    Say::state(
                        ALICE,
                        "m.room.power_levels",
                        "",
                        object! { "users" => users },
                    )
                }
                25 => Say::member(ALICE, &user(number), "ban"),
                _ => {
                    let name = format!("fork {fork}");
                    let content = object! { "membership" => "join", "displayname" => name };
                    Say::state(&user(number), "m.room.member", &user(number), content)
                }
            };
            room.add(say);
        }
        room.heads()[0]
    });
    (room, tips)
}

fn resolution(c: &mut Criterion) {
    for events in [1_000, 10_000] {
        let mut group = c.benchmark_group(format!("resolve {events} state events"));
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(5));
        for version in ["11", "12"] {
            let (room, tips) = forked(version, events);
            let states: Vec<Vec<(usize, usize)>> = tips
                .iter()
                .map(|tip| room.state_after(*tip).into_iter().collect())
                .collect();
            let slices: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
            group.bench_function(format!("version {version}"), |b| {
                b.iter(|| resolve::resolve(room.version(), &slices, &room).unwrap());
            });
            // Without a subgraph to supply, so that ruma's own work is all that is measured.
            if version == "11" {
                with_ruma(&mut group, &room, &states);
            }
        }
        group.finish();
    }
}

fn with_ruma(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    room: &RoomFixture,
    states: &[Vec<(usize, usize)>],
) {
    let ruma = RumaRoom::new(room);
    let maps: Vec<_> = states.iter().map(|state| ruma.state_map(state)).collect();
    let chains = || {
        states
            .iter()
            .map(|state| ruma.auth_chain(state))
            .collect::<Vec<_>>()
    };
    let resolved = ruma.resolve(states).len();
    let slices: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
    assert_eq!(
        resolve::resolve(room.version(), &slices, room)
            .unwrap()
            .len(),
        resolved
    );
    group.bench_function("version 11, ruma-state-res", |b| {
        b.iter_batched(
            chains,
            |chains| {
                let resolved = ruma_state_res::resolve(
                    &ruma.rules.authorization,
                    ruma.rules.state_res.v2_rules().unwrap(),
                    &maps,
                    chains,
                    |id| ruma.fetch(id),
                    |_| None,
                );
                assert!(resolved.is_ok());
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, seal, verify, authorise, resolution);
criterion_main!(benches);
