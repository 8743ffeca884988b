// The steps of a story: each has a name, and the first that fails ends the story.

import { ClientEvent } from "matrix-js-sdk";

/** Longest wait for anything that the other side should see. */
const WAIT_MS = 15_000;

let passed = 0;

/** Runs one step and says how it went. Answers what `action` answers. */
export async function step(name, action) {
    try {
        const result = await action();
        passed += 1;
        tell(`ok      js: ${name}`);
        return result;
    } catch (error) {
        tell(`FAILED  js: ${name}: ${error.stack ?? error}`);
        tell(`js: ${passed} passed, 1 failed`);
        process.exit(1);
    }
}

function tell(line) {
    process.stdout.write(`${line}\n`);
}

/** Prints the summary of a story that came to its end. */
export function summary(transport) {
    tell(`js over ${transport}: ${passed} passed, 0 failed`);
}

/**
 * Waits until `find` answers something, asking again at each `event` of the client and after each
 * sync. `what` names it in the error message.
 */
export function until(client, event, what, find) {
    const found = find();
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
        const finish = () => {
            clearTimeout(deadline);
            client.off(event, look);
            client.off(ClientEvent.Sync, look);
        };
        const look = () => {
            const found = find();
            if (!found) return;
            finish();
            resolve(found);
        };
        const deadline = setTimeout(() => {
            finish();
            reject(new Error(`no ${what} within ${WAIT_MS} ms`));
        }, WAIT_MS);
        client.on(event, look);
        client.on(ClientEvent.Sync, look);
    });
}

/** Fails with `message` unless `condition` holds. */
export function check(condition, message) {
    if (!condition) throw new Error(message);
}
