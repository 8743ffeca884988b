// A person: an account with one client of matrix-js-sdk that syncs.

import * as sdk from "matrix-js-sdk";

import { until } from "./steps.js";
import { clientOptions, startOptions } from "./transport.js";

const PASSWORD = "correct horse battery staple";

export class Person {
    /** Registers `name`; the account then has one device, which is left unused. */
    static async registers(baseUrl, name) {
        const visitor = sdk.createClient({ baseUrl });
        const ask = { username: name, password: PASSWORD, inhibit_login: true };
        try {
            await visitor.registerRequest(ask);
        } catch (refusal) {
            if (refusal.httpStatus !== 401) throw refusal;
            const auth = { type: "m.login.dummy", session: refusal.data.session };
            await visitor.registerRequest({ ...ask, auth });
        }
        return name;
    }

    /** Logs in with the password, on a new device that syncs by `transport`. */
    static async logsIn(baseUrl, name, transport) {
        const visitor = sdk.createClient({ baseUrl });
        const session = await visitor.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: name },
            password: PASSWORD,
        });
        return new Person(
            sdk.createClient({
                baseUrl,
                userId: session.user_id,
                deviceId: session.device_id,
                accessToken: session.access_token,
                ...clientOptions(transport),
            }),
            transport,
        );
    }

    constructor(client, transport) {
        this.client = client;
        this.transport = transport;
        this.id = client.getSafeUserId();
    }

    /** Begins to sync; resolves when the first sync is there. */
    async startsToSync() {
        const how = startOptions(this.transport, this.client, this.client.getHomeserverUrl());
        await this.client.startClient({ initialSyncLimit: 20, ...how });
        const ready = () => ["PREPARED", "SYNCING"].includes(this.client.getSyncState());
        await until(this.client, sdk.ClientEvent.Sync, "first sync", ready);
    }

    /** Waits until the sync says that this person's membership of the room is `membership`. */
    seesOwnMembership(roomId, membership) {
        return until(
            this.client,
            sdk.RoomEvent.MyMembership,
            `membership "${membership}" of ${this.id}`,
            () => this.client.getRoom(roomId)?.getMyMembership() === membership,
        );
    }

    /** Waits until the sync says that `other` has `membership` in the room. */
    seesMembership(roomId, other, membership) {
        return until(
            this.client,
            sdk.RoomStateEvent.Members,
            `membership "${membership}" of ${other.id} for ${this.id}`,
            () => this.client.getRoom(roomId)?.getMember(other.id)?.membership === membership,
        );
    }

    /** Waits until the sync has brought an event that `matches`. */
    seesEvent(roomId, what, matches) {
        return until(this.client, sdk.RoomEvent.Timeline, `${what} for ${this.id}`, () =>
            this.timeline(roomId).find(matches),
        );
    }

    /** Waits until a message with this text, by `sender`, has come through the sync. */
    seesText(roomId, sender, text) {
        return this.seesEvent(
            roomId,
            `message "${text}"`,
            (event) =>
                event.getSender() === sender.id &&
                event.getContent().body === text &&
                // A local echo is no proof that the server has it.
                event.status === null,
        );
    }

    timeline(roomId) {
        return this.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    }
}
