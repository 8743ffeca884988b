//! Where most stories of servers on a script begin.

use serde_json::Value;
use tests::{Answer, Peer, Room, TestServer, User, federation::Neighbourhood, peer::Pdu};

/// Our server and a peer, which can reach each other; `None` where another server is under test.
pub(super) async fn server_and_peer() -> Option<(Neighbourhood, TestServer, Peer)> {
    let machine = Neighbourhood::new();
    let server = machine.server().await?;
    let peer = machine.peer().await;
    Some((machine, server, peer))
}

/// Our server with Alice, a peer with Carol, and a public room of Alice's that both are in.
pub(super) struct Scene {
    pub(super) machine: Neighbourhood,
    pub(super) server: TestServer,
    pub(super) alice: User,
    pub(super) peer: Peer,
    pub(super) carol: String,
    pub(super) room: Room,
}

impl Scene {
    /// `None` where another server is under test.
    pub(super) async fn new(version: &str) -> Option<Self> {
        Self::at("127.0.0.1", version).await
    }

    /// The same, with the peer called by another name of this machine.
    pub(super) async fn at(host: &str, version: &str) -> Option<Self> {
        let machine = Neighbourhood::new();
        let server = machine.server().await?;
        let alice = server.user("alice").await;
        let peer = machine.peer_at(host).await;
        let carol = peer.user("carol");
        let room = alice.creates_room().public().version(version).await;
        peer.joins(&server, &room, &carol).await;
        Some(Self {
            machine,
            server,
            alice,
            peer,
            carol,
            room,
        })
    }

    /// Sends events, and returns the answer when the room has been through them.
    pub(super) async fn tries(&self, pdus: &[Pdu]) -> Answer {
        let answer = self.peer.sends(&self.server, pdus).await;
        self.goes_on().await;
        answer
    }

    /// An honest message arrives, and Alice talks on: nobody was harmed.
    pub(super) async fn goes_on(&self) {
        let honest = self.peer.says(&self.room, &self.carol, "honestly");
        self.peer
            .sends(&self.server, std::slice::from_ref(&honest))
            .await
            .ok();
        self.alice.syncs_until(&self.room, &honest.id).await;
        self.talks().await;
    }

    /// Alice says something, and finds it.
    pub(super) async fn talks(&self) {
        let said = self
            .alice
            .says(&self.room, "as if nothing had happened")
            .await;
        self.alice.syncs_until(&self.room, &said).await;
    }

    /// Whether Alice can see an event.
    pub(super) async fn sees(&self, pdu: &Pdu) -> bool {
        self.alice.event(&self.room, &pdu.id).await.status == 200
    }

    /// A message of Carol's that is not sealed yet.
    pub(super) fn message(&self, body: &str) -> Value {
        self.peer.message(&self.room, &self.carol, body)
    }

    /// Sealed by the peer.
    pub(super) fn seals(&self, event: &Value) -> Pdu {
        self.peer.seals(&self.room, event)
    }
}
