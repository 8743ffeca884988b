// Two people chat through a homeserver with matrix-js-sdk, both syncing all the while.
//
// Usage: node chat.js BASE_URL [TRANSPORT]

import "./environment.js";

import * as sdk from "matrix-js-sdk";

import { Person } from "./person.js";
import { check, step, summary, until } from "./steps.js";
import { TRANSPORTS } from "./transport.js";

const [baseUrl, transport = "long-poll"] = process.argv.slice(2);
if (!baseUrl || !TRANSPORTS.includes(transport)) {
    process.stderr.write(`usage: node chat.js BASE_URL [${TRANSPORTS.join("|")}]\n`);
    process.exit(2);
}
const stamp = Date.now().toString(36);

const [alice, bob] = await step("two people register, log in and sync", async () => {
    const people = [];
    for (const name of [`js-alice-${stamp}`, `js-bob-${stamp}`]) {
        await Person.registers(baseUrl, name);
        const person = await Person.logsIn(baseUrl, name, transport);
        await person.startsToSync();
        people.push(person);
    }
    return people;
});

await step("the server knows whose token it is", async () => {
    const whoami = await alice.client.whoami();
    check(whoami.user_id === alice.id, `it says ${whoami.user_id}`);
    check(whoami.device_id === alice.client.getDeviceId(), `it says ${whoami.device_id}`);
});

await step("a display name is set and read back", async () => {
    await alice.client.setDisplayName("Alice of the Rooks");
    const profile = await bob.client.getProfileInfo(alice.id);
    check(profile.displayname === "Alice of the Rooks", JSON.stringify(profile));
});

const roomId = await step("alice creates a room", async () => {
    const { room_id } = await alice.client.createRoom({
        name: "The rookery",
        topic: "Nests",
        preset: "private_chat",
    });
    await alice.seesOwnMembership(room_id, "join");
    const room = alice.client.getRoom(room_id);
    await until(alice.client, sdk.RoomEvent.Name, "room name", () => room.name === "The rookery");
    return room_id;
});

await step("a stranger may not read the room", async () => {
    const refusal = await bob.client.roomState(roomId).then(
        () => null,
        (error) => error,
    );
    check(refusal?.errcode === "M_FORBIDDEN", `it answered ${refusal ?? "the state"}`);
});

await step("alice invites bob, and his sync says so", async () => {
    await alice.client.invite(roomId, bob.id);
    await bob.seesOwnMembership(roomId, "invite");
    const room = bob.client.getRoom(roomId);
    check(room.name === "The rookery", `he sees it as "${room.name}"`);
    const inviter = room.getMember(bob.id).events.member.getSender();
    check(inviter === alice.id, `invited by ${inviter}`);
});

await step("bob joins, and both see it", async () => {
    await bob.client.joinRoom(roomId);
    await bob.seesOwnMembership(roomId, "join");
    await alice.seesMembership(roomId, bob, "join");
    await bob.seesMembership(roomId, alice, "join");
});

await step("messages go both ways while both sync", async () => {
    for (let turn = 0; turn < 5; turn += 1) {
        await alice.client.sendTextMessage(roomId, `ping ${turn}`);
        await bob.seesText(roomId, alice, `ping ${turn}`);
        await bob.client.sendTextMessage(roomId, `pong ${turn}`);
        await alice.seesText(roomId, bob, `pong ${turn}`);
    }
});

await step("messages sent at the same time arrive once each, in the same order for both", async () => {
    const both = [alice, bob].flatMap((person) =>
        [0, 1, 2, 3, 4].map((number) => person.client.sendTextMessage(roomId, `burst ${number}`)),
    );
    const sent = new Set((await Promise.all(both)).map((answer) => answer.event_id));
    check(sent.size === 10, `${sent.size} different event IDs for 10 messages`);
    const orders = [];
    for (const person of [alice, bob]) {
        const seen = () => person.timeline(roomId).filter((event) => sent.has(event.getId()) && event.status === null);
        await until(person.client, sdk.RoomEvent.Timeline, "ten messages", () => seen().length >= 10);
        orders.push(seen().map((event) => event.getId()));
    }
    check(orders[1].length === 10, `bob sees ${orders[1].length} of 10`);
    // The sender's own copies may stand where the local echo stood: the receivers' order is compared
    // with what the server says.
    const page = await alice.client.createMessagesRequest(roomId, null, 50, sdk.Direction.Backward);
    const served = page.chunk.map((event) => event.event_id).filter((id) => sent.has(id));
    check(served.length === 10, `/messages has ${served.length} of 10`);
    const fromAlice = (id) => bob.client.getRoom(roomId).findEventById(id).getSender() === alice.id;
    const order = served.reverse().filter(fromAlice).join();
    check(orders[1].filter(fromAlice).join() === order, "sync and /messages disagree on the order");
});

await step("typing shows, and ends", async () => {
    const typing = () => bob.client.getRoom(roomId).getMember(alice.id).typing;
    await alice.client.sendTyping(roomId, true, 20_000);
    await until(bob.client, sdk.RoomMemberEvent.Typing, "typing of alice", typing);
    await alice.client.sendTyping(roomId, false, 0);
    await until(bob.client, sdk.RoomMemberEvent.Typing, "end of alice's typing", () => !typing());
});

await step("a read receipt reaches the author", async () => {
    await alice.client.sendTextMessage(roomId, "read me");
    const message = await bob.seesText(roomId, alice, "read me");
    await bob.client.sendReadReceipt(message);
    await until(alice.client, sdk.RoomEvent.Receipt, "receipt of bob", () =>
        alice.client
            .getRoom(roomId)
            .getReceiptsForEvent(message)
            .some((receipt) => receipt.userId === bob.id),
    );
});

await step("a read marker comes back as room account data", async () => {
    const message = await bob.seesText(roomId, alice, "read me");
    await bob.client.setRoomReadMarkers(roomId, message.getId(), message);
    await until(bob.client, sdk.RoomEvent.AccountData, "m.fully_read", () => {
        const marker = bob.client.getRoom(roomId).getAccountData("m.fully_read");
        return marker?.getContent().event_id === message.getId();
    });
});

await step("account data comes back through the sync", async () => {
    await alice.client.setAccountDataRaw("org.example.rookery", { nest: 7 });
    await until(
        alice.client,
        sdk.ClientEvent.AccountData,
        "org.example.rookery",
        () => alice.client.getAccountData("org.example.rookery")?.getContent().nest === 7,
    );
});

await step("a topic change shows in the other's state", async () => {
    await alice.client.setRoomTopic(roomId, "Eggs");
    await until(bob.client, sdk.RoomStateEvent.Events, "new topic", () => {
        const state = bob.client.getRoom(roomId).currentState;
        return state.getStateEvents("m.room.topic", "")?.getContent().topic === "Eggs";
    });
});

await step("a redacted message loses its text for both", async () => {
    const { event_id } = await alice.client.sendTextMessage(roomId, "I take this back");
    await bob.seesText(roomId, alice, "I take this back");
    await alice.client.redactEvent(roomId, event_id, undefined, { reason: "second thoughts" });
    for (const person of [alice, bob]) {
        const event = () => person.client.getRoom(roomId).findEventById(event_id);
        await until(person.client, sdk.RoomEvent.Redaction, "redaction", () => event()?.isRedacted());
        check(event().getContent().body === undefined, `${person.id} still sees it`);
    }
    const served = await bob.client.fetchRoomEvent(roomId, event_id);
    check(served.content.body === undefined, `the server still gives ${JSON.stringify(served)}`);
});

await step("a new device scrolls back to the beginning", async () => {
    const again = await Person.logsIn(baseUrl, `js-bob-${stamp}`, transport);
    await again.startsToSync();
    const room = again.client.getRoom(roomId);
    const seesCreation = () => again.timeline(roomId).some((event) => event.getType() === "m.room.create");
    for (let page = 0; page < 20 && !seesCreation(); page += 1) {
        await again.client.scrollback(room, 10);
    }
    // The room's history is shared with those who were invited, from its beginning.
    check(seesCreation(), "the creation of the room never came");
    const texts = again.timeline(roomId).map((event) => event.getContent().body);
    check(texts.indexOf("ping 0") < texts.indexOf("pong 4"), "the order is wrong");
    await again.client.logout(true);
    const refusal = await again.client.whoami().catch((error) => error);
    check(refusal.errcode === "M_UNKNOWN_TOKEN", `after the logout: ${JSON.stringify(refusal)}`);
});

await step("bob leaves, and both see it", async () => {
    await bob.client.leave(roomId);
    await bob.seesOwnMembership(roomId, "leave");
    await alice.seesMembership(roomId, bob, "leave");
    const refusal = await bob.client.sendTextMessage(roomId, "am I still here?").catch((error) => error);
    check(refusal.errcode === "M_FORBIDDEN", `his next message: ${JSON.stringify(refusal)}`);
});

summary(transport);
// Long polls are still under way; nothing is lost by ending them here.
process.exit(0);
