// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { DbusFrames } from "../../../src/runtime/systemd/dbus-frames.ts";
import {
  type DbusMessage,
  encodeCall,
  encodeMessage,
  field,
  messageType,
} from "../../../src/runtime/systemd/dbus-message.ts";
import { objectPath, string, uint32 } from "../../../src/runtime/systemd/dbus-values.ts";
import type { FuzzTarget } from "../target.ts";

/** What a bus sends: in other pieces it is the same, up to where it is no D-Bus. */
export const target: FuzzTarget = {
  name: "dbus",
  parses: ["src/runtime/systemd/dbus-frames.ts", "src/runtime/systemd/dbus-message.ts"],
  maxBytes: 2048,
  dictionary: ["l\x04\x00\x01", "B\x02\x00\x01", "\x08\x01g\x00", "\x05\x01u\x00", "a(sv)"],
  *seeds() {
    yield encodeCall(1, {
      destination: "a.b",
      path: "/a",
      interface: "a.b",
      member: "C",
      body: [string("x"), uint32(3)],
    });
    const job = [uint32(1), objectPath("/job/1"), string("a.scope"), string("done")];
    const fields = [
      [field.sender, string(":1.7")],
      [field.member, string("JobRemoved")],
    ] as const;
    const removed = encodeMessage(messageType.signal, 2, fields, job);
    yield Buffer.concat([removed, removed]);
  },
  run(input) {
    const whole = messagesIn(input, input.byteLength);
    for (const size of [1, 13]) assert.deepEqual(messagesIn(input, size), whole);
  },
};

function messagesIn(input: Buffer, size: number): DbusMessage[] {
  const frames = new DbusFrames();
  const found: DbusMessage[] = [];
  for (let at = 0; at < input.byteLength; at += size) {
    try {
      frames.push(input.subarray(at, at + size), (message) => void found.push(message));
    } catch (error) {
      assert.ok(error instanceof RangeError);
      break;
    }
  }
  return found;
}
