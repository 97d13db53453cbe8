// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventStream } from "./event-stream.ts";

const take = async (events: AsyncIterator<number>, count: number): Promise<number[]> => {
  const taken: number[] = [];
  while (taken.length < count) {
    const { value, done } = await events.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
};

describe("EventStream", () => {
  it("tells every reader, from when it subscribed", async () => {
    const stream = new EventStream<number>();
    const abort = new AbortController();
    stream.publish(0);
    const first = stream.subscribe(abort)[Symbol.asyncIterator]();
    stream.publish(1);
    const second = stream.subscribe(abort)[Symbol.asyncIterator]();
    stream.publish(2);
    stream.close();
    assert.deepEqual([await take(first, 9), await take(second, 9)], [[1, 2], [2]]);
  });

  it("drops the oldest for a reader that is behind, and for no other", async () => {
    let dropped = 0;
    const stream = new EventStream<number>(() => (dropped += 1), 2);
    const call = { signal: new AbortController().signal };
    const slow = stream.subscribe(call)[Symbol.asyncIterator]();
    const quick = stream.subscribe(call)[Symbol.asyncIterator]();
    const seen: number[] = [];
    for (const event of [1, 2, 3, 4]) {
      stream.publish(event);
      seen.push(...(await take(quick, 1)));
    }
    stream.close();
    assert.deepEqual([seen, await take(slow, 9), dropped], [[1, 2, 3, 4], [3, 4], 2]);
  });

  it("forgets a reader whose call ends, also before its first read", async () => {
    const stream = new EventStream<number>();
    const [reading, idle] = [new AbortController(), new AbortController()];
    const events = stream.subscribe(reading)[Symbol.asyncIterator]();
    stream.subscribe(idle);
    const next = events.next();
    reading.abort();
    idle.abort();
    stream.subscribe({ signal: AbortSignal.abort() });
    await assert.rejects(next, { name: "AbortError" });
    assert.equal(stream.hasReaders, false);
  });

  it("ends at once for whoever comes after the close", async () => {
    const stream = new EventStream<number>();
    stream.close();
    const call = { signal: new AbortController().signal };
    assert.deepEqual(await take(stream.subscribe(call)[Symbol.asyncIterator](), 1), []);
  });
});
