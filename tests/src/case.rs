//! Requests by operation: a valid one for each that `spec/api` describes, to exercise, to spoil and to repeat.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Answer, Call, Room, TestServer, User,
    api::Operation,
    path::{escape, v3},
};

/// What the placeholders of paths and texts stand for.
type Names = BTreeMap<&'static str, String>;

/// Somebody in the world of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// No token.
    Nobody,
    /// Made the room.
    Alice,
    /// Is in the room, without power.
    Bob,
    /// Is not in the room.
    Eve,
    /// Somebody new, for what cannot be done twice.
    Newcomer,
    /// Administers the server.
    Admin,
}

/// A request to one operation.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks.
    pub who: Who,
    /// Path parameters that differ from those of the world.
    pub parameters: BTreeMap<&'static str, String>,
    /// Query parameters.
    pub query: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Option<Value>,
}

/// Some users, a room, and what is in it. Texts in a case may name it: `{bob}` is bob's user ID.
pub struct World {
    /// The server.
    pub server: TestServer,
    /// By their names in [`Who`].
    pub alice: User,
    /// In the room, without power.
    pub bob: User,
    /// Not in the room.
    pub eve: User,
    /// Administers the server, if that is ours.
    pub admin: Option<User>,
    /// Alice's room, with bob.
    pub room: Room,
    names: Names,
}

impl Ask {
    /// A request without body and with the parameters of the world.
    #[must_use]
    pub fn by(who: Who) -> Self {
        Self {
            who,
            parameters: BTreeMap::new(),
            query: Vec::new(),
            body: None,
        }
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With this path parameter.
    #[must_use]
    pub fn with(mut self, parameter: &'static str, value: &str) -> Self {
        self.parameters.insert(parameter, value.to_owned());
        self
    }

    /// With this query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }
}

impl World {
    /// A server with alice, bob and eve, alice's room with bob in it, a message, an alias, a filter and account data.
    pub async fn new() -> Self {
        let server = TestServer::start().await;
        let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
        let admin = match server.is_own() {
            true => Some(server.admin().await),
            false => None,
        };
        let room = alice.creates_room().with([&bob]).await;
        let event = alice.says(&room, "the message").await;
        let alias = format!("#{}:{}", server.fresh_name("place"), alice.server_name());
        let spare = format!("#{}:{}", server.fresh_name("spare"), alice.server_name());
        for alias in [&alias, &spare] {
            alice
                .put(
                    v3(&["directory", "room", alias]),
                    &json!({"room_id": room.id}),
                )
                .await
                .ok();
        }
        let filter = alice
            .post(v3(&["user", &alice.id, "filter"]), &json!({}))
            .await
            .ok();
        let data = json!({"some": "data"});
        alice
            .put(
                v3(&["user", &alice.id, "account_data", "org.example.data"]),
                &data,
            )
            .await
            .ok();
        for rule in ["word", "spare"] {
            let path = v3(&["pushrules", "global", "content", rule]);
            let body = json!({"pattern": rule, "actions": ["notify"]});
            alice.put(path, &body).await.ok();
        }
        let in_room = v3(&[
            "user",
            &alice.id,
            "rooms",
            &room.id,
            "account_data",
            "org.example.data",
        ]);
        alice.put(in_room, &data).await.ok();
        alice
            .put(
                v3(&["profile", &alice.id, "displayname"]),
                &json!({"displayname": "Alice"}),
            )
            .await
            .ok();
        // A room to be invited to, to leave, to be thrown out of; and one that is left already.
        let lobby = alice.creates_room().await;
        let knocks = json!({"join_rule": "knock"});
        alice
            .sets_state(&lobby, "m.room.join_rules", "", &knocks)
            .await
            .ok();
        let den = alice.creates_room().with([&bob]).await;
        alice.invites(&den, &eve).await.ok();
        let banned = json!({"user_id": format!("@banned:{}", alice.server_name())});
        alice.in_room(&den, "ban", &banned).await.ok();
        let left = alice.creates_room().with([&bob]).await;
        bob.leaves(&left).await.ok();
        let spare_event = alice.says(&room, "nobody answers").await;
        let follows = v3(&["rooms", &room.id, "thread", &event, "subscription"]);
        let follows = follows.replace("/v3/", "/unstable/io.element.msc4306/");
        // Where the server has that.
        let _ = alice.put(follows, &json!({})).await;
        let later = v3(&["rooms", &room.id, "send", "m.room.message", "later"]);
        let later = alice
            .put(later, &json!({"msgtype": "m.text", "body": "later"}))
            .query("org.matrix.msc4140.delay", 3_600_000)
            .await
            .json();
        let refreshing = json!({
            "type": "m.login.password", "password": alice.password, "refresh_token": true,
            "identifier": {"type": "m.id.user", "user": alice.id},
        });
        let session = server
            .post("/_matrix/client/v3/login", &refreshing)
            .await
            .ok();
        let openid = v3(&["user", &alice.id, "openid", "request_token"]);
        let openid = alice.post(openid, &json!({})).await.ok();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names = BTreeMap::from([
            ("openid", text(&openid["access_token"])),
            ("delayId", text(&later["delay_id"])),
            ("action", "restart".to_owned()),
            ("threadRoot", event.clone()),
            ("spareEvent", spare_event),
            ("alice", alice.id.clone()),
            ("bob", bob.id.clone()),
            ("eve", eve.id.clone()),
            ("room", room.id.clone()),
            ("event", event.clone()),
            ("alias", alias.clone()),
            ("spare", spare),
            ("den", den.id),
            ("lobby", lobby.id),
            ("left", left.id),
            ("server", alice.server_name().to_owned()),
            ("password", alice.password.clone()),
            (
                "refresh",
                session["refresh_token"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            ),
            ("roomId", room.id.clone()),
            ("roomIdOrAlias", room.id.clone()),
            ("roomAlias", alias),
            ("eventId", event),
            ("eventType", "m.room.message".to_owned()),
            ("stateKey", String::new()),
            ("userId", alice.id.clone()),
            ("deviceId", alice.device.clone()),
            (
                "filterId",
                filter["filter_id"].as_str().unwrap_or_default().to_owned(),
            ),
            ("type", "org.example.data".to_owned()),
            ("receiptType", "m.read".to_owned()),
            ("kind", "content".to_owned()),
            ("ruleId", "word".to_owned()),
            ("keyName", "displayname".to_owned()),
            ("keyId", "ed25519:a".to_owned()),
            ("reportId", "1".to_owned()),
        ]);
        Self {
            server,
            alice,
            bob,
            eve,
            admin,
            room,
            names,
        }
    }

    /// Logs those in again whose sessions have ended.
    pub async fn wakes_up(&mut self) {
        let users = [&mut self.alice, &mut self.bob, &mut self.eve];
        for user in users.into_iter().chain(self.admin.as_mut()) {
            if user.get("/_matrix/client/v3/account/whoami").await.status != 200 {
                *user = user.logs_in_again().await;
            }
        }
    }

    /// Makes the call, and answers where interactive authentication asks for a password or nothing at all.
    pub async fn asks(&self, operation: &Operation, ask: &Ask) -> Answer {
        let mut ask = ask.clone();
        if ask.who == Who::Newcomer {
            let newcomer = self
                .server
                .user(&format!("new-{:08x}", rand::random::<u32>()))
                .await;
            let ask = ask
                .with("userId", &newcomer.id)
                .with("deviceId", &newcomer.device);
            return self.asks_as(operation, ask, Some(&newcomer)).await;
        }
        if let Some(admin) = &self.admin
            && operation.path.contains("{reportId}")
        {
            ask = ask.with("reportId", &self.report(admin).await);
        }
        if operation.id == "adminRegister" {
            ask.body = Some(
                self.server
                    .shared_secret_registration(&format!("made-{:08x}", rand::random::<u32>()))
                    .await,
            );
        }
        let user = self.user(ask.who).cloned();
        self.asks_as(operation, ask, user.as_ref()).await
    }

    /// The ID of a new report of the message.
    async fn report(&self, admin: &User) -> String {
        let path = v3(&["rooms", &self.room.id, "report", &self.names["eventId"]]);
        self.bob.post(path, &json!({})).await.ok();
        let reports = admin.get("/_synapse/admin/v1/event_reports").await.ok();
        reports["event_reports"][0]["id"].to_string()
    }

    async fn asks_as(&self, operation: &Operation, mut ask: Ask, user: Option<&User>) -> Answer {
        let names = self.names();
        let answer = self.call_as(operation, &ask, user, &names).await;
        let challenge = answer.json();
        if answer.status != 401 || challenge.get("flows").is_none() {
            return answer;
        }
        ask.body.get_or_insert_with(|| json!({}))["auth"] = match user {
            None => json!({"type": "m.login.dummy", "session": challenge["session"]}),
            Some(user) => json!({
                "type": "m.login.password", "session": challenge["session"], "password": user.password,
                "identifier": {"type": "m.id.user", "user": user.id},
            }),
        };
        self.call_as(operation, &ask, user, &names).await
    }

    /// The call of an operation, not sent yet. A newcomer is nobody here.
    pub fn call(&self, operation: &Operation, ask: &Ask) -> Call {
        self.call_as(operation, ask, self.user(ask.who), &self.names())
    }

    fn call_as(
        &self,
        operation: &Operation,
        ask: &Ask,
        user: Option<&User>,
        names: &Names,
    ) -> Call {
        let method: Method = operation.method.parse().expect("a method");
        let mut call = self.server.call(method, path(operation, ask, names));
        if let Some(user) = user {
            call = call.token(&user.token);
        }
        for (name, value) in &ask.query {
            call = call.query(name, fill(value, names));
        }
        if let Some(body) = &ask.body {
            call = call.bytes(fill(&body.to_string(), names));
        }
        call
    }

    fn user(&self, who: Who) -> Option<&User> {
        match who {
            Who::Nobody | Who::Newcomer => None,
            Who::Admin => self.admin.as_ref(),
            Who::Alice => Some(&self.alice),
            Who::Bob => Some(&self.bob),
            Who::Eve => Some(&self.eve),
        }
    }

    /// The names with new random ones.
    fn names(&self) -> Names {
        let mut names = self.names.clone();
        names.insert("txnId", format!("{:016x}", rand::random::<u64>()));
        names.insert("random", format!("{:016x}", rand::random::<u64>()));
        names
    }
}

/// The path with its placeholders filled.
fn path(operation: &Operation, ask: &Ask, names: &Names) -> String {
    let segments = operation.path.split('/').map(|segment| {
        let Some(name) = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) else {
            return segment.to_owned();
        };
        let value = match ask.parameters.get(name) {
            Some(value) => fill(value, names),
            None => names
                .get(name)
                .unwrap_or_else(|| panic!("what is {{{name}}}?"))
                .clone(),
        };
        escape(&value)
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The text with `{names}` filled in.
fn fill(text: &str, names: &Names) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

/// A request to the operation that must be answered well, in a new world; `None` for an operation that this table
/// does not know.
///
/// The order of the operations does not matter: what takes something away takes it from a newcomer.
#[must_use]
pub fn good(operation: &str) -> Option<Ask> {
    use Who::{Admin, Alice, Bob, Eve, Newcomer, Nobody};
    let text = json!({"msgtype": "m.text", "body": "hello"});
    let ask = match operation {
        // Public pages
        "welcome" | "health" | "metrics" | "getVersions" | "getLoginFlows" | "getWellknown" | "getServerWellKnown"
        | "getServerVersion" | "getServerKey" | "getServerKeySlash" | "getServerKeyById" | "getAdminRegisterNonce" => {
            Ask::by(Nobody)
        }
        "queryServerKeys" => Ask::by(Nobody).with("serverName", "{server}"),
        "queryServersKeys" => Ask::by(Nobody).body(json!({"server_keys": {"{server}": {}}})),
        // Sessions and accounts
        "login" => Ask::by(Nobody).body(json!({
            "type": "m.login.password", "password": "{password}", "identifier": {"type": "m.id.user", "user": "{alice}"},
        })),
        "refresh" => Ask::by(Nobody).body(json!({"refresh_token": "{refresh}"})),
        "adminRegister" => Ask::by(Nobody).body(json!({})),
        "sendServerNotice" | "sendServerNoticeOnce" => Ask::by(Admin).body(json!({"user_id": "{bob}", "content": text})),
        "getEventReports" | "getEventReport" | "deleteEventReport" => Ask::by(Admin),
        "initialSync" | "getOneEvent" => Ask::by(Alice),
        "getEvents" => Ask::by(Alice).query("timeout", "0"),
        "register" => Ask::by(Nobody).body(json!({"username": "reg-{random}", "password": "a long password"})),
        "checkUsernameAvailability" => Ask::by(Nobody).query("username", "free-{random}"),
        "registrationTokenValidity" => Ask::by(Nobody).query("token", "no-such-token"),
        "getNotifications" | "getPushRules" | "getPushRulesGlobal" | "getPushRule" | "isPushRuleEnabled" | "getPushRuleActions" => Ask::by(Alice),
        "getPushers" | "getWebPushKey" => Ask::by(Alice),
        "postPusher" => Ask::by(Alice).body(json!({
            "app_id": "org.example", "pushkey": "key", "kind": "http", "app_display_name": "App", "device_display_name": "Phone",
            "lang": "en", "data": {"url": "https://push.example/_matrix/push/v1/notify"},
        })),
        "setPushRule" => Ask::by(Alice).body(json!({"pattern": "word", "actions": ["notify"]})),
        "deletePushRule" => Ask::by(Alice).with("ruleId", "spare"),
        "setPushRuleEnabled" => Ask::by(Alice).body(json!({"enabled": true})),
        "setPushRuleActions" => Ask::by(Alice).body(json!({"actions": ["notify"]})),
        "getCapabilities" | "getTokenOwner" | "getAccount3PIDs" | "getDevices" | "getDevice" | "getJoinedRooms" => Ask::by(Alice),
        "logout" | "logoutAll" | "deactivateAccount" => Ask::by(Newcomer).body(json!({})),
        "changePassword" => Ask::by(Newcomer).body(json!({"new_password": "another long password", "logout_devices": false})),
        "updateDevice" => Ask::by(Alice).body(json!({"display_name": "a phone"})),
        "deleteDevice" => Ask::by(Newcomer).body(json!({})),
        "deleteDevices" => Ask::by(Newcomer).body(json!({"devices": []})),
        // Filters, sync, account data, profile
        "defineFilter" => Ask::by(Alice).body(json!({"room": {"timeline": {"limit": 5}}})),
        "getFilter" => Ask::by(Alice),
        "sync" => Ask::by(Alice).query("timeout", "0"),
        "slidingSync" | "slidingSyncMsc3575" => Ask::by(Alice).body(json!({})),
        "setAccountData" | "setAccountDataPerRoom" => Ask::by(Alice).body(json!({"some": "data"})),
        "getAccountData" | "getAccountDataPerRoom" => Ask::by(Alice),
        "getUserProfile" | "getProfileField" => Ask::by(Nobody),
        "setProfileField" => Ask::by(Alice).body(json!({"displayname": "Alice"})),
        "deleteProfileField" => Ask::by(Bob).with("userId", "{bob}"),
        "getRoomTags" => Ask::by(Alice),
        "setRoomTag" => Ask::by(Alice).with("tag", "u.work").body(json!({"order": 0.5})),
        "deleteRoomTag" => Ask::by(Alice).with("tag", "u.play"),
        // Rooms and membership
        "createRoom" => Ask::by(Alice).body(json!({"preset": "private_chat", "name": "A room", "invite": ["{bob}"]})),
        "upgradeRoom" => Ask::by(Alice).with("roomId", "{lobby}").body(json!({"new_version": "11"})),
        "joinRoom" | "joinRoomById" => Ask::by(Bob).body(json!({})),
        "knockRoom" => Ask::by(Eve).with("roomIdOrAlias", "{lobby}").body(json!({"reason": "a case"})),
        "inviteUser" => Ask::by(Alice).body(json!({"user_id": "@somebody-{random}:{server}"})),
        "leaveRoom" => Ask::by(Bob).with("roomId", "{den}").body(json!({})),
        "forgetRoom" => Ask::by(Bob).with("roomId", "{left}"),
        "kick" => Ask::by(Alice).with("roomId", "{den}").body(json!({"user_id": "{eve}"})),
        "ban" => Ask::by(Alice).with("roomId", "{den}").body(json!({"user_id": "@nobody-{random}:{server}"})),
        "unban" => Ask::by(Alice).with("roomId", "{den}").body(json!({"user_id": "@banned:{server}"})),
        // Events
        "sendMessage" => Ask::by(Alice).body(text),
        "redactEvent" => Ask::by(Alice).body(json!({"reason": "a case"})),
        "getEventByTimestamp" => Ask::by(Bob).query("ts", "0").query("dir", "f"),
        "getOneRoomEvent" | "getEventContext" | "getRoomState" | "getMembersByRoom" | "getJoinedMembersByRoom" => Ask::by(Bob),
        "getRoomEvents" => Ask::by(Bob).query("dir", "b").query("limit", "5"),
        "getRelatingEvents" | "getThreadRoots" => Ask::by(Bob),
        "getRelatingEventsWithRelType" => Ask::by(Bob).with("relType", "m.thread"),
        "getRelatingEventsWithRelTypeAndEventType" => Ask::by(Bob).with("relType", "m.thread").with("eventType", "m.room.message"),
        "search" => Ask::by(Bob).body(json!({"search_categories": {"room_events": {"search_term": "message"}}})),
        "getRoomStateWithKey" => Ask::by(Bob).with("eventType", "m.room.create"),
        "setRoomStateWithKey" => Ask::by(Alice).with("eventType", "m.room.topic").body(json!({"topic": "{random}"})),
        "getMutualRooms" => Ask::by(Alice).query("user_id", "{bob}"),
        "getSpaceHierarchy" => Ask::by(Bob),
        "getRoomSummary" => Ask::by(Alice),
        "requestOpenIdToken" => Ask::by(Alice).body(json!({})),
        "onBindThirdPartyIdentifier" => Ask::by(Nobody).body(json!({
            "medium": "email", "address": "alice@example.org", "mxid": "{alice}", "invites": [],
        })),
        "exchangeOpenIdToken" => Ask::by(Nobody).query("access_token", "{openid}"),
        "reportEvent" | "reportRoom" => Ask::by(Bob).body(json!({"reason": "spam"})),
        "reportUser" => Ask::by(Bob).with("userId", "{alice}").body(json!({"reason": "spam"})),
        "getTurnServer" | "getRtcTransports" | "getProtocols" => Ask::by(Alice),
        "queryLocationByAlias" => Ask::by(Alice).query("alias", "{alias}"),
        "queryUserByID" => Ask::by(Alice).query("userid", "{alice}"),
        "getProtocolMetadata" | "queryLocationByProtocol" | "queryUserByProtocol" => Ask::by(Alice).with("protocol", "irc"),
        "deleteAccountData" | "deleteAccountDataPerRoom" => Ask::by(Alice).with("type", "org.example.gone"),
        "subscribeThread" => Ask::by(Bob).body(json!({})),
        "getThreadSubscription" => Ask::by(Alice),
        "getThreadSubscriptions" => Ask::by(Alice).query("dir", "b"),
        "unsubscribeThread" => Ask::by(Alice).with("threadRoot", "{spareEvent}"),
        "roomInitialSync" => Ask::by(Bob).query("limit", "5"),
        "getDelayedEvents" => Ask::by(Alice),
        "manageDelayedEvent" => Ask::by(Nobody).body(json!({"action": "restart"})),
        "actOnDelayedEvent" => Ask::by(Nobody).body(json!({})),
        // Directory
        "setRoomAlias" => Ask::by(Alice).with("roomAlias", "#{random}:{server}").body(json!({"room_id": "{room}"})),
        "getRoomIdByAlias" => Ask::by(Nobody),
        "deleteRoomAlias" => Ask::by(Alice).with("roomAlias", "{spare}"),
        "getLocalAliases" => Ask::by(Alice),
        "getPublicRooms" => Ask::by(Nobody).query("limit", "5"),
        "queryPublicRooms" => Ask::by(Alice).body(json!({"filter": {"generic_search_term": "{random}"}})),
        "searchUserDirectory" => Ask::by(Alice).body(json!({"search_term": "bob", "limit": 5})),
        "getRoomVisibilityOnDirectory" => Ask::by(Nobody),
        "setRoomVisibilityOnDirectory" => Ask::by(Alice).body(json!({"visibility": "private"})),
        // Presence
        "getPresence" => Ask::by(Alice),
        "setPresence" => Ask::by(Alice).body(json!({"presence": "online", "status_msg": "here"})),
        // Typing and receipts
        "setTyping" => Ask::by(Alice).body(json!({"typing": true, "timeout": 1000})),
        "postReceipt" => Ask::by(Bob).body(json!({})),
        "setReadMarker" => Ask::by(Bob).body(json!({"m.fully_read": "{event}"})),
        _ => return None,
    };
    Some(ask)
}
