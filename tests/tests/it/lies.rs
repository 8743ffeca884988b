//! What a server on a script may try on ours: it does no harm, ends in bounded time, and is answered as it should be.

mod answers;
mod edus;
mod events;
mod invites;
mod joins;
mod requests;
mod shut_out;
mod silence;
mod transactions;

use serde_json::{Value, json};
use tests::{Answer, Peer, Room, TestServer, User, federation::Neighbourhood, path::v3, peer::Pdu};

/// Our server with Alice, a peer with Carol, and a public room of Alice's that both are in.
struct Scene {
    machine: Neighbourhood,
    server: TestServer,
    alice: User,
    peer: Peer,
    carol: String,
    room: Room,
}

impl Scene {
    /// `None` where another server is under test.
    async fn new(version: &str) -> Option<Self> {
        Self::at("127.0.0.1", version).await
    }

    /// The same, with the peer called by another name of this machine.
    async fn at(host: &str, version: &str) -> Option<Self> {
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
    async fn tries(&self, pdus: &[Pdu]) -> Answer {
        let answer = self.peer.sends(&self.server, pdus).await;
        self.goes_on().await;
        answer
    }

    /// An honest message arrives, and Alice talks on: nobody was harmed.
    async fn goes_on(&self) {
        let honest = self.peer.says(&self.room, &self.carol, "honestly");
        self.peer
            .sends(&self.server, std::slice::from_ref(&honest))
            .await
            .ok();
        self.alice.syncs_until(&self.room, &honest.id).await;
        self.talks().await;
    }

    /// Alice says something, and finds it.
    async fn talks(&self) {
        let said = self
            .alice
            .says(&self.room, "as if nothing had happened")
            .await;
        self.alice.syncs_until(&self.room, &said).await;
    }

    /// Whether Alice can see an event.
    async fn sees(&self, pdu: &Pdu) -> bool {
        self.alice.event(&self.room, &pdu.id).await.status == 200
    }

    /// A message of Carol's that is not sealed yet.
    fn message(&self, body: &str) -> Value {
        self.peer.message(&self.room, &self.carol, body)
    }

    /// Sealed by the peer.
    fn seals(&self, event: &Value) -> Pdu {
        self.peer.seals(&self.room, event)
    }
}

/// Joins a room of the peer.
async fn joins(user: &User, room: &Room, peer: &Peer) -> Answer {
    let joining = user.post(v3(&["join", &room.id]), &json!({}));
    joining.query("via", peer.name()).await
}
