//! People who do things at random, on one server or two.

use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use tests::{Call, Room, TestServer, User, path::v3, switch::Switch};

/// How many rooms there are at most.
const ROOMS_MAX: usize = 4;

/// The people of a history, and what they have done.
pub(super) struct People {
    /// Who watches.
    pub(super) bob: User,
    /// Who makes the rooms and stays in them: on this server, and on the other if there is one.
    keepers: Vec<User>,
    /// Who comes and goes, bob too.
    others: Vec<User>,
    pub(super) rooms: Vec<Room>,
    /// The events that were sent, with their rooms and senders.
    sent: Vec<(usize, User, String)>,
    switches: Vec<Switch>,
    /// What happened.
    pub(super) story: Vec<String>,
}

impl People {
    /// On one server.
    pub(super) async fn here(server: &TestServer) -> Self {
        let [alice, bob, carol, dave] = server.users(["alice", "bob", "carol", "dave"]).await;
        Self::new(bob, vec![alice], vec![carol, dave], Vec::new())
    }

    /// On two, with the switches between them.
    pub(super) async fn of_both(
        here: &TestServer,
        there: &TestServer,
        switches: Vec<Switch>,
    ) -> Self {
        let [alice, bob, carol] = here.users(["alice", "bob", "carol"]).await;
        let [erin, frank] = there.users(["erin", "frank"]).await;
        Self::new(bob, vec![alice, erin], vec![carol, frank], switches)
    }

    fn new(bob: User, keepers: Vec<User>, mut others: Vec<User>, switches: Vec<Switch>) -> Self {
        others.push(bob.clone());
        Self {
            bob,
            keepers,
            others,
            rooms: Vec::new(),
            sent: Vec::new(),
            switches,
            story: Vec::new(),
        }
    }

    /// Whether they are on two servers.
    pub(super) fn are_apart(&self) -> bool {
        !self.switches.is_empty()
    }

    /// The keeper of all rooms on the watched server.
    pub(super) fn keeper(&self) -> &User {
        &self.keepers[0]
    }

    /// One thing happens, or is refused.
    pub(super) async fn something_happens(&mut self, chance: &mut StdRng) {
        if self.rooms.is_empty() || (self.rooms.len() < ROOMS_MAX && chance.random_ratio(1, 25)) {
            return self.a_room_is_made(chance).await;
        }
        if self.are_apart() && chance.random_ratio(1, 12) {
            let cut = chance.random_bool(0.5);
            self.story.push(format!(
                "the cable is {}",
                if cut { "cut" } else { "whole" }
            ));
            for switch in &self.switches {
                if cut { switch.cut() } else { switch.heal() }
            }
            return;
        }
        let at = chance.random_range(0..self.rooms.len());
        let room = self.rooms[at].clone();
        let everybody: Vec<User> = self.keepers.iter().chain(&self.others).cloned().collect();
        let who = everybody.choose(chance).expect("people").clone();
        let whom = self.others.choose(chance).expect("people").clone();
        match chance.random_range(0..100) {
            0..25 => self.says(at, &who, message(chance, &self.bob)).await,
            25..28 => {
                for n in 0..12 {
                    let burst = json!({"msgtype": "m.text", "body": format!("burst {n}")});
                    self.says(at, &who, burst).await;
                }
            }
            28..36 => self.relates(at, &who, chance).await,
            36..44 => {
                let of = self.sent.choose(chance).cloned();
                if let Some((at, sender, event)) = of {
                    let room = self.rooms[at].clone();
                    let what = format!("{} redacts {event} in {at}", sender.id);
                    let status = sender.redacts(&room, &event).await.status;
                    self.did(what, status);
                }
            }
            44..54 => {
                let kinds = ["m.room.topic", "m.room.name", "org.example.state"];
                let kind = kinds.choose(chance).expect("kinds");
                let content = json!({"topic": "t", "name": format!("name {}", chance.random_range(0..100u32))});
                let sets = who.sets_state(&room, kind, "", &content);
                let status = sets.await.status;
                self.did(format!("{} sets {kind} in {at}", who.id), status);
            }
            54..60 => {
                let joins = self.joins(&who, &room);
                self.does(format!("{} joins {at}", who.id), joins).await;
            }
            60..66 => {
                let keeper = self.keepers.choose(chance).expect("keepers").clone();
                let invites = keeper.invites(&room, &whom);
                self.does(
                    format!("{} invites {} to {at}", keeper.id, whom.id),
                    invites,
                )
                .await;
            }
            66..69 => {
                self.does(format!("{} leaves {at}", whom.id), whom.leaves(&room))
                    .await
            }
            69..71 => {
                let kicks = self.keeper().kicks(&room, &whom);
                self.does(format!("{} is kicked from {at}", whom.id), kicks)
                    .await;
            }
            71..73 => {
                let bans = self.keeper().bans(&room, &whom);
                self.does(format!("{} is banned from {at}", whom.id), bans)
                    .await;
            }
            73..76 => {
                let unbans = self.keeper().unbans(&room, &whom);
                self.does(format!("{} may come back to {at}", whom.id), unbans)
                    .await;
            }
            76..79 => {
                let path = v3(&["knock", &room.id]);
                let knocks = whom.post(path, &json!({})).query("via", whom.server_name());
                self.does(format!("{} knocks at {at}", whom.id), knocks)
                    .await;
            }
            79..90 => self.reads(at, &who, chance).await,
            90..95 => {
                let typing = chance.random_bool(0.6);
                let types = who.types(&room, typing);
                self.does(format!("{} types in {at}: {typing}", who.id), types)
                    .await;
            }
            _ => {
                let path = match chance.random_bool(0.5) {
                    true => v3(&[
                        "user",
                        &self.bob.id,
                        "rooms",
                        &room.id,
                        "account_data",
                        "org.example.note",
                    ]),
                    false => v3(&["user", &self.bob.id, "account_data", "org.example.note"]),
                };
                let note = json!({"n": chance.random_range(0..1_000u32)});
                let notes = self.bob.put(path, &note);
                self.does(format!("bob notes something, maybe of {at}"), notes)
                    .await;
            }
        }
    }

    /// The servers find each other again, everybody stops typing, and all has arrived that is to arrive.
    pub(super) async fn come_to_rest(&mut self) {
        for switch in &self.switches {
            switch.heal();
        }
        let everybody: Vec<User> = self.keepers.iter().chain(&self.others).cloned().collect();
        for room in self.rooms.clone() {
            for user in &everybody {
                let _ = user.types(&room, false).await.status;
            }
            if let [alice, erin] = &self.keepers[..] {
                let last = erin.says(&room, "the end").await;
                alice.syncs_until(&room, &last).await;
            }
        }
    }

    async fn a_room_is_made(&mut self, chance: &mut StdRng) {
        for switch in &self.switches {
            switch.heal();
        }
        let version = *["6", "10", "11", "12"].choose(chance).expect("versions");
        let rule = match version {
            "6" => *["public", "invite"].choose(chance).expect("rules"),
            _ => *["public", "public", "invite", "knock"]
                .choose(chance)
                .expect("rules"),
        };
        let history = *["shared", "shared", "joined", "invited", "world_readable"]
            .choose(chance)
            .expect("kinds");
        let mut users: serde_json::Map<String, Value> = self
            .keepers
            .iter()
            .map(|keeper| (keeper.id.clone(), json!(100)))
            .collect();
        if version == "12" {
            users.remove(&self.keepers[0].id);
        }
        let initial = json!([
            {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": rule}},
            {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": history}},
        ]);
        let keeper = self.keepers[0].clone();
        let room = keeper
            .creates_room()
            .version(version)
            .option("initial_state", initial)
            .option(
                "power_level_content_override",
                json!({"users": users, "state_default": 0}),
            )
            .await;
        self.story.push(format!(
            "{} is made: version {version}, {rule}, {history}",
            self.rooms.len()
        ));
        for other in &self.keepers[1..] {
            keeper.invites(&room, other).await.ok();
            self.joins(other, &room).await.ok();
        }
        self.rooms.push(room);
    }

    fn joins(&self, who: &User, room: &Room) -> Call {
        who.joins_via(room, self.keeper().server_name())
    }

    async fn says(&mut self, at: usize, who: &User, content: Value) {
        self.sends(at, who, "m.room.message", &content).await;
    }

    async fn relates(&mut self, at: usize, who: &User, chance: &mut StdRng) {
        let here: Vec<_> = self.sent.iter().filter(|(room, ..)| *room == at).collect();
        let Some((_, sender, event)) = here.choose(chance).map(|sent| (*sent).clone()) else {
            return;
        };
        let text = json!({"msgtype": "m.text", "body": "new"});
        match chance.random_range(0..3) {
            0 => {
                let key = chance.random_range(0..9u32).to_string();
                let content = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": key}});
                self.sends(at, who, "m.reaction", &content).await;
            }
            1 => {
                let mut content = text.clone();
                content["m.new_content"] = text;
                content["m.relates_to"] = json!({"rel_type": "m.replace", "event_id": event});
                self.sends(at, &sender, "m.room.message", &content).await;
            }
            _ => {
                let mut content = text;
                content["m.relates_to"] = json!({"rel_type": "m.thread", "event_id": event});
                self.sends(at, who, "m.room.message", &content).await;
            }
        }
    }

    async fn sends(&mut self, at: usize, who: &User, event_type: &str, content: &Value) {
        let answer = who.sends(&self.rooms[at], event_type, content).await;
        let status = answer.status;
        let mut what = format!("{} sends {event_type} to {at}: {content}", who.id);
        if status == 200 {
            let event = answer.ok().event_id;
            what = format!("{what} as {event}");
            self.sent.push((at, who.clone(), event));
        }
        self.did(what, status);
    }

    async fn reads(&mut self, at: usize, who: &User, chance: &mut StdRng) {
        let mut here = self.sent.iter().filter(|(room, ..)| *room == at);
        let Some((_, _, event)) = here.next_back().cloned() else {
            return;
        };
        let kinds = ["m.read", "m.read", "m.read.private", "m.fully_read"];
        let kind = kinds.choose(chance).expect("kinds");
        let path = v3(&["rooms", &self.rooms[at].id, "receipt", kind, &event]);
        let body = match chance.random_range(0..3) {
            0 if *kind != "m.fully_read" => json!({"thread_id": "main"}),
            _ => json!({}),
        };
        let reads = who.post(path, &body);
        self.does(
            format!("{} reads {event} in {at}: {kind} {body}", who.id),
            reads,
        )
        .await;
    }

    async fn does(&mut self, what: String, call: Call) {
        let status = call.await.status;
        self.did(what, status);
    }

    /// Notes what was done. It may have been refused, but not failed: other servers may be out of reach.
    fn did(&mut self, what: String, status: u16) {
        assert!(status < 500 || self.are_apart(), "{what}: {status}");
        self.story.push(match status {
            200 => what,
            _ => format!("({what}: {status})"),
        });
    }
}

fn message(chance: &mut StdRng, bob: &User) -> Value {
    let mut content = json!({"msgtype": "m.text", "body": "hello"});
    if chance.random_ratio(1, 5) {
        content["m.mentions"] = json!({"user_ids": [bob.id]});
    }
    content
}
