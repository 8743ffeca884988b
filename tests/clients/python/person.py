"""A person: an account with one client of matrix-nio that syncs."""

import asyncio

from nio import AsyncClient, AsyncClientConfig, Event, SyncResponse

from steps import check

PASSWORD = "correct horse battery staple"
# Longest wait, in seconds, for anything that the other side should see.
WAIT_S = 15
SYNC_MS = 30_000
CONFIG = AsyncClientConfig(encryption_enabled=False, max_timeouts=1, max_limit_exceeded=0)


def succeeded(response):
    """`response` if it is a success; nio returns errors instead of raising them."""
    name = type(response).__name__
    check(not name.endswith("Error") and name != "RegisterErrorResponse", f"{name}: {response}")
    return response


class Person:
    def __init__(self, base_url, name):
        self.client = AsyncClient(base_url, name, config=CONFIG)
        self.events = []
        self.left = set()
        self.synced = asyncio.Condition()
        self.client.add_event_callback(self._on_event, Event)
        self.client.add_response_callback(self._on_sync, SyncResponse)

    @classmethod
    async def registers(cls, base_url, name):
        """Registers `name` through the stage `m.login.dummy`, which leaves it logged in."""
        client = AsyncClient(base_url, name, config=CONFIG)
        succeeded(await client.register(name, PASSWORD))
        await client.close()

    @classmethod
    async def logs_in(cls, base_url, name):
        person = cls(base_url, name)
        succeeded(await person.client.login(PASSWORD, device_name="story"))
        return person

    @property
    def id(self):
        return self.client.user_id

    async def starts_to_sync(self):
        """Syncs in the background; returns when the first sync is there."""
        self.task = asyncio.create_task(self.client.sync_forever(SYNC_MS))
        await self.until("the first sync", lambda: self.client.next_batch)

    async def until(self, what, find):
        """Waits until `find` answers something, asking again after each sync."""
        async with self.synced:
            try:
                async with asyncio.timeout(WAIT_S):
                    while not (found := find()):
                        await self.synced.wait()
                    return found
            except TimeoutError:
                raise AssertionError(f"no {what} for {self.id} within {WAIT_S} s") from None

    async def sees_text(self, room_id, sender, text):
        """Waits until a message with this text, by `sender`, has come through the sync."""
        return await self.until(
            f'message "{text}"',
            lambda: next(
                (
                    event
                    for room, event in self.events
                    if room == room_id
                    and event.sender == sender.id
                    and event.source["content"].get("body") == text
                ),
                None,
            ),
        )

    async def sees_membership(self, room_id, other, membership):
        """Waits until an event that gives `other` this membership has come through the sync."""
        await self.until(
            f'membership "{membership}" of {other.id}',
            lambda: any(
                room == room_id
                and event.source["type"] == "m.room.member"
                and event.source.get("state_key") == other.id
                and event.source["content"]["membership"] == membership
                for room, event in self.events
            ),
        )

    async def says(self, room_id, text):
        content = {"msgtype": "m.text", "body": text}
        sent = await self.client.room_send(room_id, "m.room.message", content)
        return succeeded(sent).event_id

    def room(self, room_id):
        return self.client.rooms[room_id]

    async def closes(self):
        self.task.cancel()
        await self.client.close()

    async def _on_event(self, room, event):
        self.events.append((room.room_id, event))

    async def _on_sync(self, response):
        # nio keeps the rooms that were left among the others.
        self.left.update(response.rooms.leave)
        async with self.synced:
            self.synced.notify_all()
