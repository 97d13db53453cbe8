// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { silentLogger } from "../../../src/base/logger.ts";
import { encodeFrame } from "../../../src/ttrpc/frame.ts";
import { decodeRequest, decodeResponse, encodeRequest } from "../../../src/ttrpc/message.ts";
import { TtrpcRegistry } from "../../../src/ttrpc/registry.ts";
import { ServerConnection } from "../../../src/ttrpc/server.ts";
import { sentInPieces } from "../support/cuts.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import { slowFrames } from "../support/slow-ttrpc.ts";
import type { FuzzTarget } from "../target.ts";

const service = "containerd.services.events.ttrpc.v1.Events";
const unknown = 12;
const badArgument = 3;
const tooLarge = 8;

/** What a shim sends to the events' socket: one answer to each request, with the code that a slow reading says. */
export const target: FuzzTarget = {
  name: "ttrpc-server",
  parses: [
    "src/ttrpc/server.ts",
    "src/ttrpc/frame.ts",
    "src/ttrpc/message.ts",
    "src/ttrpc/registry.ts",
  ],
  maxBytes: 2048,
  dictionary: [
    "\0\0\0\x02\0\0\0\x03\x01\0",
    "\0\x40\0\x01\0\0\0\x05\x01\0",
    "\x0a\x01s",
    "\x12\x01m",
    "\x20\x01",
    "\x2a\0",
    service,
    "Forward",
    "__proto__",
  ],
  *seeds() {
    const request = (method: string, payload: string, name = service): Buffer =>
      encodeRequest({
        service: name,
        method,
        payload: Buffer.from(payload, "hex"),
        timeoutNanos: 0,
        metadata: [["containerd-namespace-ttrpc", "k8s.io"]],
      });
    const frame = (streamId: number, type: number, payload: Buffer): Buffer =>
      encodeFrame({ streamId, type, flags: 0, payload });
    const bytes = Buffer.concat([
      frame(1, 1, request("Forward", "0a0c120a6b38732e696f2f6162")),
      frame(3, 1, request("Forward", "0aff")),
      frame(5, 1, request("Other", "")),
      frame(7, 3, Buffer.from("data")),
      frame(7, 1, request("Forward", "", "other")),
      frame(7, 1, request("Forward", "")),
      frame(9, 1, Buffer.from([0x0a])),
    ]);
    for (const cuts of [0, 1, 6]) yield Buffer.concat([bytes, Buffer.from([0, cuts])]);
  },
  async run(input) {
    const { bytes, pieces } = sentInPieces(input);
    let forwarded = 0;
    const registry = new TtrpcRegistry().register(service, {
      Forward: async () => {
        forwarded += 1;
        return {};
      },
    });
    const transport = new MemoryTransport();
    const { signal } = new AbortController();
    const connection = new ServerConnection(transport, registry, silentLogger, signal);
    transport.on("data", (piece: Buffer) => connection.receive(piece));
    transport.arrive(...pieces);
    await transport.allTaken();
    await setImmediate();
    const answers = answersIn(transport.written);
    const expected = slowServer(bytes);
    assert.deepEqual(
      answers.map(({ streamId }) => streamId).sort((a, b) => a - b),
      expected.map(({ streamId }) => streamId).sort((a, b) => a - b),
    );
    for (const { streamId, codes } of expected) {
      const at = answers.findIndex(
        (answer) => answer.streamId === streamId && codes.includes(answer.code),
      );
      assert.ok(at >= 0, `stream ${streamId}: none of ${codes.join(", ")}`);
      answers.splice(at, 1);
    }
    const calls = expected.filter(({ codes }) => codes.includes(0)).length;
    assert.ok(forwarded <= calls, "a call that nobody made");
    connection.end();
    transport.destroy();
  },
};

interface Answer {
  readonly streamId: number;
  readonly code: number;
}

function answersIn(written: Buffer): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < written.length; ) {
    const length = written.readUInt32BE(at);
    assert.ok(length < 16 * 1024, `an answer of ${length} bytes`);
    assert.equal(written[at + 8], 2);
    const { code } = decodeResponse(written.subarray(at + 10, at + 10 + length));
    answers.push({ streamId: written.readUInt32BE(at + 4), code });
    at += 10 + length;
  }
  return answers;
}

/** Which answers there must be, each with one of the codes. */
function slowServer(
  bytes: Buffer,
): { readonly streamId: number; readonly codes: readonly number[] }[] {
  const expected: { streamId: number; codes: readonly number[] }[] = [];
  let last = 0;
  for (const { streamId, type, payload, isOversized } of slowFrames(bytes)) {
    if (type !== 1) continue;
    const isNext = streamId % 2 === 1 && streamId > last;
    if (isNext) last = streamId;
    const codes = !isNext ? [badArgument] : isOversized ? [tooLarge] : codesOf(payload);
    expected.push({ streamId, codes });
  }
  return expected;
}

function codesOf(payload: Buffer): readonly number[] {
  try {
    const request = decodeRequest(payload);
    const isKnown = request.service === service && request.method === "Forward";
    return isKnown ? [0, badArgument] : [unknown];
  } catch {
    return [badArgument];
  }
}
