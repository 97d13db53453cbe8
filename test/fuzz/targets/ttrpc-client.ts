// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { TtrpcClient } from "../../../src/ttrpc/client.ts";
import { encodeFrame } from "../../../src/ttrpc/frame.ts";
import { decodeResponse, encodeResponse } from "../../../src/ttrpc/message.ts";
import { sentInPieces } from "../support/cuts.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import { slowFrames } from "../support/slow-ttrpc.ts";
import type { FuzzTarget } from "../target.ts";

const callCount = 5;

/** What a shim answers to five calls under way: each is settled by the first frame with its number, or by the end. */
export const target: FuzzTarget = {
  name: "ttrpc-client",
  parses: ["src/ttrpc/client.ts", "src/ttrpc/frame.ts", "src/ttrpc/message.ts"],
  maxBytes: 2048,
  dictionary: [
    "\0\0\0\0\0\0\0\x01\x02\0",
    "\0\x40\0\x01\0\0\0\x03\x02\0",
    "\0\0\0\x02\0\0\0\x05\x01\0",
    "\x0a\x02\x08\x05",
    "\x12\x01x",
    "\xff\xff\xff\xff",
  ],
  *seeds() {
    const frame = (streamId: number, code: number, message: string, type = 2): Buffer => {
      const payload = encodeResponse({ code, message, payload: Buffer.from("answer") });
      return encodeFrame({ streamId, type, flags: 0, payload });
    };
    const bytes = Buffer.concat([
      frame(3, 0, ""),
      frame(1, 5, "not found"),
      frame(3, 2, "twice"),
      frame(99, 0, ""),
      frame(5, 77, "no such code"),
      frame(7, 0, "", 3),
      encodeFrame({ streamId: 9, type: 2, flags: 0, payload: Buffer.from([10, 9]) }),
    ]);
    for (const cuts of [0, 1, 7]) yield Buffer.concat([bytes, Buffer.from([0, cuts])]);
  },
  async run(input) {
    const { bytes, pieces } = sentInPieces(input);
    const transport = new MemoryTransport();
    const client = new TtrpcClient(transport);
    const outcomes: string[] = [];
    const calls = Array.from({ length: callCount }, async (_, at) => {
      try {
        const answer = await client.call("a.Service", "Method", Buffer.alloc(0));
        outcomes[at] = `answered ${answer.toString("hex")}`;
      } catch (error) {
        assert.ok(error instanceof RuntimeFault, String(error));
        outcomes[at] = `${error.code} ${error.message}`;
      }
    });
    transport.arrive(...pieces);
    await transport.allTaken();
    const expected = slowClient(bytes);
    for (let at = 0; at < callCount; at += 1) {
      const found = outcomes[at] ?? "waits";
      assert.ok(
        found.startsWith(expected[at] ?? "waits"),
        `call ${at}: ${found}, want ${expected[at]}`,
      );
    }
    transport.destroy();
    await Promise.all(calls);
    await client.closed;
    assert.equal(outcomes.length, callCount);
    for (const [at, outcome] of outcomes.entries()) {
      if (expected[at] === undefined) assert.match(outcome, /^UNAVAILABLE /);
    }
  },
};

/** How the outcome of each call begins; undefined for one that waits on. */
function slowClient(bytes: Buffer): readonly (string | undefined)[] {
  const outcomes: (string | undefined)[] = Array.from({ length: callCount });
  for (const { streamId, type, payload, isOversized } of slowFrames(bytes)) {
    const call = (streamId - 1) / 2;
    if (Number.isInteger(call) && call >= 0 && call < callCount) {
      outcomes[call] ??= isOversized
        ? "RESOURCE_EXHAUSTED answer of a.Service/Method is"
        : outcomeOf(type, payload);
    }
  }
  return outcomes;
}

const codes: Readonly<Record<number, string>> = {
  1: "CANCELLED",
  3: "INVALID_ARGUMENT",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
  10: "ABORTED",
  11: "OUT_OF_RANGE",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  15: "DATA_LOSS",
  16: "UNAUTHENTICATED",
};

function outcomeOf(type: number, payload: Buffer): string {
  if (type !== 2) return "INTERNAL a.Service/Method answered a frame of type";
  try {
    const { code, message, payload: answer } = decodeResponse(payload);
    if (code === 0) return `answered ${answer.toString("hex")}`;
    return `${codes[code] ?? "UNKNOWN"} ${message}`;
  } catch {
    return "INTERNAL answer of a.Service/Method is malformed";
  }
}
