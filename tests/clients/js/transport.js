// The server's ways to sync, each under the same unmodified matrix-js-sdk.
//
// The library itself knows long-polling and sliding sync. Pushed syncs are handed to it as the answers to its long-polls.

import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync.js";
import WebSocket from "ws";

const SYNC = "/_matrix/client/v3/sync";
const SOCKET = "/_matrix/client/unstable/org.rookery.ws/stream";
const EVENTS = "/_matrix/client/unstable/org.matrix.msc2108/sync/sse";

/** The names of all ways. */
export const TRANSPORTS = ["long-poll", "socket", "events", "sliding"];

/** What a client is created with in order to sync in this way. */
export function clientOptions(transport) {
    switch (transport) {
        case "socket":
            return { fetchFn: fetchOver(SocketStream) };
        case "events":
            return { fetchFn: fetchOver(EventStream) };
        default:
            return {};
    }
}

/** What a client is started with in order to sync in this way. */
export function startOptions(transport, client, baseUrl) {
    if (transport !== "sliding") return {};
    const list = { ranges: [[0, 99]], timeline_limit: 20, required_state: [["*", "*"]] };
    const subscription = { timeline_limit: 20, required_state: [["*", "*"]] };
    return { slidingSync: new SlidingSync(baseUrl, new Map([["all", list]]), subscription, client, 10_000) };
}

/** A `fetch` that answers syncs with what a stream pushes. */
function fetchOver(Stream) {
    let stream;
    return async (input, init) => {
        const url = new URL(input);
        if (url.pathname !== SYNC) return fetch(input, init);
        const token = new Headers(init.headers).get("authorization");
        const since = url.searchParams.get("since");
        if (!stream?.isOpen || stream.token !== token || stream.last !== since) {
            stream?.close();
            stream = new Stream(url, token);
        }
        const timeout = Number(url.searchParams.get("timeout") ?? 0) + 1_000;
        const body = await stream.next(since, timeout, init.signal);
        return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
    };
}

/** Sync bodies that come by themselves. */
class Stream {
    pushed = [];
    isOpen = true;

    constructor(url, token) {
        this.token = token;
        this.last = url.searchParams.get("since");
    }

    /** The next body; one without news if none comes in time. */
    async next(since, timeoutMs, signal) {
        this.processed(since);
        if (this.pushed.length === 0 && this.isOpen) {
            await new Promise((resolve, reject) => {
                const timer = setTimeout(resolve, timeoutMs);
                this.wake = () => {
                    clearTimeout(timer);
                    resolve();
                };
                signal?.addEventListener("abort", () => {
                    clearTimeout(timer);
                    this.close();
                    reject(signal.reason);
                });
            });
        }
        const body = this.pushed.shift();
        if (body) this.last = body.next_batch;
        return body ?? { next_batch: since };
    }

    push(body) {
        this.pushed.push(body);
        this.wake?.();
    }

    ended() {
        this.isOpen = false;
        this.wake?.();
    }

    /** The client has processed the body with this token. */
    processed() {}
}

class SocketStream extends Stream {
    constructor(url, token) {
        super(url, token);
        const target = new URL(SOCKET, url.href.replace(/^http/, "ws"));
        for (const name of ["since", "filter", "set_presence"]) {
            if (url.searchParams.has(name)) target.searchParams.set(name, url.searchParams.get(name));
        }
        this.socket = new WebSocket(target, "m.json", { headers: { authorization: token } });
        this.socket.on("message", (text) => {
            const frame = JSON.parse(text);
            if (frame.next_batch) this.push(frame);
        });
        this.socket.on("close", () => this.ended());
        this.socket.on("error", () => this.ended());
    }

    processed(since) {
        if (since && this.socket.readyState === WebSocket.OPEN) {
            this.socket.send(JSON.stringify({ method: "ack", params: { next_batch: since } }));
        }
    }

    close() {
        this.socket.terminate();
    }
}

class EventStream extends Stream {
    aborter = new AbortController();

    constructor(url, token) {
        super(url, token);
        const target = new URL(EVENTS, url);
        for (const name of ["since", "filter", "set_presence"]) {
            if (url.searchParams.has(name)) target.searchParams.set(name, url.searchParams.get(name));
        }
        this.read(target).then(
            () => this.ended(),
            () => this.ended(),
        );
    }

    async read(target) {
        const { signal } = this.aborter;
        const response = await fetch(target, { headers: { authorization: this.token }, signal });
        let unread = "";
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
            const events = (unread + chunk).split("\n\n");
            unread = events.pop();
            for (const event of events) {
                const data = event.split("\n").find((line) => line.startsWith("data:"));
                if (data) this.push(JSON.parse(data.slice("data:".length)));
            }
        }
    }

    close() {
        this.aborter.abort();
    }
}
