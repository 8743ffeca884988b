"""Two people chat through a homeserver with matrix-nio, both syncing all the while.

Usage: python chat.py BASE_URL
"""

import asyncio
import sys
import time

from nio import (
    ErrorResponse,
    MessageDirection,
    ProfileGetResponse,
    ReceiptType,
    RoomVisibility,
)

from person import Person, succeeded
from steps import check, step, summary


async def main(base_url):
    stamp = format(int(time.time() * 1000), "x")
    names = [f"py-alice-{stamp}", f"py-bob-{stamp}"]

    with step("two people register, log in and sync"):
        people = []
        for name in names:
            await Person.registers(base_url, name)
            person = await Person.logs_in(base_url, name)
            await person.starts_to_sync()
            people.append(person)
        alice, bob = people

    with step("a display name is set and read back"):
        succeeded(await alice.client.set_displayname("Alice of the Rooks"))
        profile = await bob.client.get_profile(alice.id)
        check(isinstance(profile, ProfileGetResponse), profile)
        check(profile.displayname == "Alice of the Rooks", profile)

    with step("alice creates a room"):
        created = await alice.client.room_create(
            visibility=RoomVisibility.private, name="The rookery", topic="Nests"
        )
        room_id = succeeded(created).room_id
        await alice.until("the room", lambda: room_id in alice.client.rooms)
        # Whether its state comes in one sync or in several is up to the server.
        await alice.until("the name", lambda: alice.room(room_id).name == "The rookery")
        await alice.until("the topic", lambda: alice.room(room_id).topic == "Nests")

    with step("a stranger may not read the room"):
        refusal = await bob.client.room_get_state(room_id)
        check(isinstance(refusal, ErrorResponse), refusal)
        check(refusal.status_code == "M_FORBIDDEN", refusal)

    with step("alice invites bob, and his sync says so"):
        succeeded(await alice.client.room_invite(room_id, bob.id))
        invited = await bob.until("the invite", lambda: bob.client.invited_rooms.get(room_id))
        check(invited.inviter == alice.id, f"invited by {invited.inviter}")
        check(invited.name == "The rookery", f"he sees it as {invited.name}")

    with step("bob joins, and both see it"):
        succeeded(await bob.client.join(room_id))
        await bob.until("the room", lambda: room_id in bob.client.rooms)
        await alice.sees_membership(room_id, bob, "join")
        members = succeeded(await bob.client.joined_members(room_id)).members
        check({m.user_id for m in members} == {alice.id, bob.id}, members)

    with step("messages go both ways while both sync"):
        for turn in range(5):
            await alice.says(room_id, f"ping {turn}")
            await bob.sees_text(room_id, alice, f"ping {turn}")
            await bob.says(room_id, f"pong {turn}")
            await alice.sees_text(room_id, bob, f"pong {turn}")

    with step("messages sent at the same time arrive once each, in the same order for both"):
        sends = (p.says(room_id, f"burst {n}") for n in range(5) for p in (alice, bob))
        sent = set(await asyncio.gather(*sends))
        check(len(sent) == 10, f"{len(sent)} different event IDs for 10 messages")
        orders = []
        for person in (alice, bob):
            def seen():
                return [e.event_id for _, e in person.events if e.event_id in sent]

            await person.until("ten messages", lambda: len(seen()) >= 10)
            orders.append(seen())
        check(len(orders[0]) == 10, f"{len(orders[0])} arrivals of 10 messages")
        check(orders[0] == orders[1], f"different orders: {orders}")

    with step("a repeated transaction ID is the same message"):
        content = {"msgtype": "m.text", "body": "once"}
        ids = [
            succeeded(await alice.client.room_send(room_id, "m.room.message", content, "tx-1"))
            for _ in range(2)
        ]
        check(ids[0].event_id == ids[1].event_id, ids)

    with step("typing shows, and ends"):
        succeeded(await alice.client.room_typing(room_id, True, 20_000))
        await bob.until("typing of alice", lambda: alice.id in bob.room(room_id).typing_users)
        succeeded(await alice.client.room_typing(room_id, False))
        await bob.until("end of it", lambda: alice.id not in bob.room(room_id).typing_users)

    with step("a read receipt reaches the author"):
        message = await alice.says(room_id, "read me")
        await bob.sees_text(room_id, alice, "read me")
        succeeded(await bob.client.update_receipt_marker(room_id, message, ReceiptType.read))

        def read():
            # nio's receipts are those of the thread "main".
            receipts = alice.room(room_id).threaded_read_receipts.get(bob.id, {})
            return "main" in receipts and receipts["main"].event_id == message

        await alice.until("receipt of bob", read)

    with step("read markers come back through the sync"):
        succeeded(await bob.client.room_read_markers(room_id, message, message))
        await bob.until("m.fully_read", lambda: bob.room(room_id).fully_read_marker == message)

    with step("a topic change shows in the other's room"):
        succeeded(await alice.client.room_put_state(room_id, "m.room.topic", {"topic": "Eggs"}))
        await bob.until("the topic", lambda: bob.room(room_id).topic == "Eggs")

    with step("a redacted message loses its text for both"):
        taken_back = await alice.says(room_id, "I take this back")
        await bob.sees_text(room_id, alice, "I take this back")
        succeeded(await alice.client.room_redact(room_id, taken_back, "second thoughts"))
        for person in (alice, bob):
            await person.until(
                "the redaction",
                lambda: any(
                    event.source["type"] == "m.room.redaction" and event.redacts == taken_back
                    for _, event in person.events
                ),
            )
        served = succeeded(await bob.client.room_get_event(room_id, taken_back)).event
        check("body" not in served.source["content"], served.source)
        check("redacted_because" in served.source["unsigned"], served.source)

    with step("a new device scrolls back to the beginning"):
        again = await Person.logs_in(base_url, names[1])
        texts, types, token = [], [], ""
        for _ in range(20):
            page = succeeded(
                await again.client.room_messages(
                    room_id, token, direction=MessageDirection.back, limit=10
                )
            )
            texts += [event.source["content"].get("body") for event in page.chunk]
            types += [event.source["type"] for event in page.chunk]
            token = page.end
            if not token:
                break
        check(types and types[-1] == "m.room.create", f"it ends with {types[-5:]}")
        check(texts.count("once") == 1, "the repeated transaction is there more than once")
        check(texts.index("pong 4") < texts.index("ping 0"), "the order is wrong")
        succeeded(await again.client.logout())
        await again.client.close()

    with step("bob leaves, and both see it"):
        succeeded(await bob.client.room_leave(room_id))
        await bob.until("the end of it", lambda: room_id in bob.left)
        await alice.sees_membership(room_id, bob, "leave")
        content = {"msgtype": "m.text", "body": "am I still here?"}
        refusal = await bob.client.room_send(room_id, "m.room.message", content)
        check(isinstance(refusal, ErrorResponse), refusal)
        check(refusal.status_code == "M_FORBIDDEN", refusal)

    with step("bob forgets the room"):
        succeeded(await bob.client.room_forget(room_id))

    for person in (alice, bob):
        await person.closes()
    summary()


if len(sys.argv) != 2:
    sys.exit(__doc__)
asyncio.run(main(sys.argv[1]))
