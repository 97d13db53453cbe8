// SPDX-License-Identifier: Apache-2.0
// What clients get that speak gRPC's wire oddly, or badly: one table for whatever serves them.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import http2 from "node:http2";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import { fault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { codec } from "./codec.ts";
import { GrpcServer } from "./grpc-server.ts";

const tasks = "containerd.services.tasks.v1.Tasks";
const containers = "containerd.services.containers.v1.Containers";
const content = "containerd.services.content.v1.Content";
const limitBytes = 100_000;

/** What the handlers saw. */
const seen: string[] = [];
let socket = "";

function message(bytes: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

const start = codec("containerd.services.tasks.v1.StartRequest").encode({ containerId: "one" });
const ok = message(start);

interface Odd {
  readonly name: string;
  readonly path?: string;
  readonly headers?: http2.OutgoingHttpHeaders;
  /** Pieces, each a frame of its own; none, and the headers end the stream. */
  readonly body?: readonly Buffer[];
  readonly trailers?: http2.OutgoingHttpHeaders;
  readonly answer: RegExp;
}

const served = /^200 0 pid=3$/;

const oddCalls: readonly Odd[] = [
  { name: "an ordinary call", body: [ok], answer: served },
  { name: "no te", headers: { te: undefined }, body: [ok], answer: served },
  {
    name: "content-type application/grpc+proto",
    headers: { "content-type": "application/grpc+proto" },
    body: [ok],
    answer: served,
  },
  {
    name: "content-type text/plain",
    headers: { "content-type": "text/plain" },
    body: [ok],
    answer: /^415/,
  },
  { name: "no content-type", headers: { "content-type": undefined }, body: [ok], answer: /^415/ },
  {
    name: "a service that there is not",
    path: "/no.such.Service/Do",
    body: [ok],
    answer: /^200 12 The server does not implement the method \/no\.such\.Service\/Do/,
  },
  { name: "a method that there is not", path: `/${tasks}/Nothing`, body: [ok], answer: /^200 12 / },
  { name: "a path that is none", path: "nothing", body: [ok], answer: /^200 12 |^reset 1$/ },
  {
    name: "a method without a handler",
    path: `/${tasks}/Pause`,
    body: [ok],
    answer: /^200 12 unknown method Pause for service containerd\.services\.tasks\.v1\.Tasks$/,
  },
  {
    name: "one byte a frame",
    body: Array.from(ok, (byte) => Buffer.of(byte)),
    answer: served,
  },
  { name: "trailers at the end", body: [ok], trailers: { "x-end": "1" }, answer: served },
  { name: "half a prefix after the message", body: [ok, ok.subarray(0, 3)], answer: served },
  { name: "two messages", body: [ok, ok], answer: /^200 12 Received a second request message/ },
  { name: "no message", answer: /^200 12 Received no request message/ },
  { name: "an empty body", body: [Buffer.alloc(0)], answer: /^200 12 Received no request message/ },
  {
    name: "half a message",
    body: [ok.subarray(0, 7)],
    answer: /^200 12 Received no request message/,
  },
  {
    name: "an empty message",
    body: [Buffer.alloc(5)],
    answer: /^200 0 pid=3$/,
  },
  {
    name: "bytes that are no such message",
    body: [message(Buffer.of(255, 255, 255))],
    answer: new RegExp(`^200 13 cannot decode the request of /${tasks}/Start$`),
  },
  {
    name: "gzip",
    headers: { "grpc-encoding": "gzip" },
    body: [message(gzipSync(start), 1)],
    answer: served,
  },
  {
    name: "deflate",
    headers: { "grpc-encoding": "deflate" },
    body: [message(deflateSync(start), 1)],
    answer: served,
  },
  {
    name: "gzip announced, a plain message",
    headers: { "grpc-encoding": "gzip" },
    body: [ok],
    answer: served,
  },
  {
    name: "gzip that is none",
    headers: { "grpc-encoding": "gzip" },
    body: [message(Buffer.from("no gzip"), 1)],
    answer: /^200 13 Failed to decompress message$/,
  },
  {
    name: "gzip that inflates beyond the limit",
    headers: { "grpc-encoding": "gzip" },
    body: [message(gzipSync(Buffer.alloc(limitBytes * 5)), 1)],
    answer: /^200 8 Received message that decompresses to a size larger than 100000$/,
  },
  {
    name: "an encoding that there is not",
    headers: { "grpc-encoding": "br" },
    body: [message(start, 1)],
    answer: /^200 12 Received message compressed with unsupported encoding "br"$/,
  },
  {
    name: "a message beyond the limit",
    body: [message(Buffer.alloc(limitBytes + 1))],
    answer: /^200 8 Received message larger than max \(100001 vs 100000\)$/,
  },
  {
    name: "a prefix that tells of 4 GiB",
    body: [Buffer.of(0, 255, 255, 255, 255)],
    answer: /^200 8 Received message larger than max \(4294967295 vs 100000\)$/,
  },
  {
    name: "a deadline that passes",
    path: `/${tasks}/Wait`,
    headers: { "grpc-timeout": "30m" },
    body: [ok],
    answer: /^200 4 Deadline exceeded$/,
  },
  {
    name: "a deadline that passes before the message is whole",
    headers: { "grpc-timeout": "30m" },
    body: [ok.subarray(0, 7), Buffer.from("wait")],
    answer: /^200 4 Deadline exceeded$/,
  },
  {
    name: "a timeout that is none",
    headers: { "grpc-timeout": "soon" },
    body: [ok],
    answer: /^200 13 Invalid grpc-timeout value "soon"$/,
  },
  {
    name: "a failure with letters that a header has not",
    path: `/${tasks}/Kill`,
    body: [ok],
    answer: /^200 5 zwölf: ≥ 12%\n$/,
  },
  {
    name: "an answer beyond a window",
    path: `/${tasks}/Get`,
    body: [ok],
    answer: /^200 0 300000 bytes$/,
  },
  {
    name: "a stream",
    path: `/${containers}/ListStream`,
    body: [Buffer.alloc(5)],
    answer: /^200 0 3 messages$/,
  },
  {
    name: "a stream asked by two messages",
    path: `/${containers}/ListStream`,
    body: [Buffer.alloc(5), Buffer.alloc(5)],
    answer: /^200 12 Received a second request message/,
  },
  {
    name: "a stream that fails",
    path: `/${containers}/ListStream`,
    body: [
      message(
        codec("containerd.services.containers.v1.ListContainersRequest").encode({
          filters: ["fail"],
        }),
      ),
    ],
    answer: /^200 14 no more$/,
  },
  {
    name: "messages both ways",
    path: `/${content}/Write`,
    body: [Buffer.alloc(5), Buffer.alloc(5)],
    answer: /^200 0 2 messages$/,
  },
  {
    name: "messages both ways, none of them",
    path: `/${content}/Write`,
    body: [Buffer.alloc(0)],
    answer: /^200 0 0 bytes$/,
  },
  {
    name: "a hundred headers",
    headers: Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`x-h${at}`, `${at}`])),
    body: [ok],
    answer: served,
  },
  {
    name: "a header of 40 KiB",
    headers: { "x-long": "x".repeat(40_000) },
    body: [ok],
    answer: served,
  },
  {
    name: "more headers than are taken",
    headers: Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`x-h${at}`, `${at}`])),
    body: [ok],
    answer: /^reset 11$/,
  },
];

/** The answer in short. */
async function ask(session: http2.ClientHttp2Session, odd: Odd): Promise<string> {
  const stream = session.request(
    {
      ":method": "POST",
      ":path": odd.path ?? `/${tasks}/Start`,
      "content-type": "application/grpc",
      te: "trailers",
      ...odd.headers,
    },
    { endStream: odd.body === undefined, waitForTrailers: odd.trailers !== undefined },
  );
  if (odd.trailers) stream.on("wantTrailers", () => stream.sendTrailers(odd.trailers!));
  let head: http2.IncomingHttpHeaders = {};
  let tail: http2.IncomingHttpHeaders = {};
  const data: Buffer[] = [];
  stream.on("response", (headers) => {
    head = headers;
  });
  stream.on("trailers", (headers) => {
    tail = headers;
  });
  stream.on("data", (chunk: Buffer) => data.push(chunk));
  stream.on("error", () => {});
  const closed = new Promise((resolve) => stream.once("close", resolve));
  const ended = new Promise((resolve) => stream.once("end", resolve));
  for (const piece of odd.body ?? []) {
    if (piece.toString() === "wait") await Promise.race([ended, closed]);
    else if (!stream.closed) await new Promise((resolve) => stream.write(piece, resolve));
  }
  if (odd.body && !stream.closed) stream.end();
  await closed;
  if (head[":status"] === undefined) return `reset ${stream.rstCode}`;
  const http = String(head[":status"]);
  const status = tail["grpc-status"] ?? head["grpc-status"];
  if (status === undefined) return http;
  const text = String(tail["grpc-message"] ?? head["grpc-message"] ?? "");
  const what = status === "0" ? summary(Buffer.concat(data)) : decodeURI(text);
  return `${http} ${String(status)} ${what}`;
}

function summary(bytes: Buffer): string {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  const [first] = messages;
  if (messages.length > 1) return `${messages.length} messages`;
  if (first && first.length < 10) {
    return `pid=${codec("containerd.services.tasks.v1.StartResponse").decode(first).pid}`;
  }
  return `${Math.floor((first?.length ?? 0) / 1000) * 1000} bytes`;
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

const settings = frame(4, 0, 0, Buffer.alloc(0));

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, at * 4);
  return bytes;
}

function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.of(0, id), u32(value)]);
}

function literal(name: string, value: string): Buffer {
  const text = (it: string): Buffer => Buffer.concat([Buffer.of(it.length), Buffer.from(it)]);
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

/** POST, http, a path; then what gRPC adds. */
function block(to = `/${tasks}/Start`, ...more: Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.of(0x83, 0x86),
    literal(":path", to),
    literal(":authority", "x"),
    literal("content-type", "application/grpc"),
    ...more,
  ]);
}

const call = (id: number): Buffer => Buffer.concat([frame(1, 4, id, block()), frame(0, 1, id, ok)]);

interface OddConnection {
  readonly name: string;
  readonly bytes: readonly Buffer[];
  /** What comes back and matters: "goaway CODE", "reset CODE", "end" of a stream with its data, "ping", "closed". */
  readonly answer: RegExp;
}

const oddConnections: readonly OddConnection[] = [
  { name: "an ordinary call", bytes: [preface, settings, call(1)], answer: /data \d+ end/ },
  { name: "HTTP/1.1", bytes: [Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n")], answer: /closed/ },
  {
    name: "a preface in pieces",
    bytes: [preface.subarray(0, 10), preface.subarray(10), settings, call(1)],
    answer: /end/,
  },
  {
    name: "no settings first",
    bytes: [preface, frame(6, 0, 0, Buffer.alloc(8))],
    answer: /goaway 1|closed/,
  },
  {
    name: "a frame of a type that there is not",
    bytes: [preface, settings, frame(0xbe, 255, 0, Buffer.alloc(100)), call(1)],
    answer: /end/,
  },
  {
    name: "a ping",
    bytes: [preface, settings, frame(6, 0, 0, Buffer.from("pingpong"))],
    answer: /ping pingpong/,
  },
  {
    name: "a ping of 7 bytes",
    bytes: [preface, settings, frame(6, 0, 0, Buffer.alloc(7))],
    answer: /goaway 6/,
  },
  {
    name: "a ping of a stream",
    bytes: [preface, settings, frame(6, 0, 1, Buffer.alloc(8))],
    answer: /goaway 1/,
  },
  {
    name: "settings of 7 bytes",
    bytes: [preface, settings, frame(4, 0, 0, Buffer.alloc(7))],
    answer: /goaway 6/,
  },
  {
    name: "an initial window that is too large",
    bytes: [preface, frame(4, 0, 0, setting(4, 2 ** 31))],
    answer: /goaway 3/,
  },
  {
    name: "a frame size that is too small",
    bytes: [preface, frame(4, 0, 0, setting(5, 1))],
    answer: /goaway 1/,
  },
  {
    name: "a setting that there is not",
    bytes: [preface, frame(4, 0, 0, setting(200, 7)), call(1)],
    answer: /end/,
  },
  {
    name: "a window of one byte, opened later",
    bytes: [
      preface,
      frame(4, 0, 0, setting(4, 1)),
      call(1),
      frame(8, 0, 1, u32(3)),
      frame(4, 0, 0, setting(4, 1000)),
    ],
    answer: /data 1 .*data 3 .*data \d+ .*end/,
  },
  {
    name: "a window that shrinks",
    bytes: [
      preface,
      frame(4, 0, 0, setting(4, 1)),
      call(1),
      frame(4, 0, 0, setting(4, 0)),
      frame(4, 0, 0, setting(4, 100)),
    ],
    answer: /data 1 .*data \d+ .*end/,
  },
  {
    name: "a window update of nothing for a stream",
    bytes: [preface, settings, frame(1, 4, 1, block()), frame(8, 0, 1, u32(0))],
    answer: /reset 1|goaway 1/,
  },
  {
    name: "a window update of nothing for all",
    bytes: [preface, settings, frame(8, 0, 0, u32(0))],
    answer: /goaway 1/,
  },
  {
    name: "a window beyond 2 GiB for all",
    bytes: [preface, settings, frame(8, 0, 0, u32(2 ** 31 - 1))],
    answer: /goaway 3/,
  },
  {
    name: "a window beyond 2 GiB for a stream",
    bytes: [preface, settings, frame(1, 4, 1, block()), frame(8, 0, 1, u32(2 ** 31 - 1))],
    answer: /reset 3|goaway 3/,
  },
  {
    name: "a frame beyond 16 KiB",
    bytes: [preface, settings, frame(1, 4, 1, block()), frame(0, 0, 1, Buffer.alloc(16_385))],
    answer: /goaway 6/,
  },
  {
    name: "more data than the window",
    bytes: [
      preface,
      settings,
      frame(1, 4, 1, block()),
      frame(0, 0, 1, message(Buffer.alloc(16_379))),
      ...Array.from({ length: 200 }, () => frame(0, 0, 1, Buffer.alloc(16_384))),
    ],
    answer: /goaway 3|reset|data|headers end/,
  },
  {
    name: "data of no stream",
    bytes: [preface, settings, frame(0, 0, 0, ok)],
    answer: /goaway 1/,
  },
  {
    name: "data of a stream that was not opened",
    bytes: [preface, settings, frame(0, 0, 1, ok)],
    answer: /goaway 1/,
  },
  {
    name: "data after the end",
    bytes: [preface, settings, call(1), frame(0, 1, 1, ok), call(3)],
    answer: /goaway 5|reset 5|end/,
  },
  {
    name: "a stream with an even number",
    bytes: [preface, settings, frame(1, 5, 2, block())],
    answer: /goaway 1/,
  },
  {
    name: "a stream's number that goes back",
    bytes: [preface, settings, call(5), call(3)],
    answer: /goaway [15]|end/,
  },
  {
    name: "a continuation of nothing",
    bytes: [preface, settings, frame(9, 4, 1, block())],
    answer: /goaway 1/,
  },
  {
    name: "headers in three frames",
    bytes: [
      preface,
      settings,
      frame(1, 0, 1, block().subarray(0, 5)),
      frame(9, 0, 1, block().subarray(5, 20)),
      frame(9, 4, 1, block().subarray(20)),
      frame(0, 1, 1, ok),
    ],
    answer: /end/,
  },
  {
    name: "another frame in the middle of headers",
    bytes: [preface, settings, frame(1, 0, 1, block()), frame(6, 0, 0, Buffer.alloc(8))],
    answer: /goaway 1/,
  },
  {
    name: "continuations without end",
    bytes: [
      preface,
      settings,
      frame(1, 0, 1, block()),
      ...Array.from({ length: 200 }, () => frame(9, 0, 1, literal("x", "x".repeat(100)))),
    ],
    answer: /goaway (1|11)|closed/,
  },
  {
    name: "a header block that is none",
    bytes: [preface, settings, frame(1, 5, 1, Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff))],
    answer: /goaway 9/,
  },
  {
    name: "an index that there is not",
    bytes: [preface, settings, frame(1, 5, 1, Buffer.of(0xfe))],
    answer: /goaway 9/,
  },
  {
    name: "a table size beyond what was allowed",
    bytes: [preface, settings, frame(1, 5, 1, Buffer.of(0x3f, 0xe2, 0x3f))],
    answer: /goaway 9/,
  },
  {
    name: "a header's name with capitals",
    bytes: [preface, settings, frame(1, 5, 1, block(undefined, literal("X-One", "1")))],
    answer: /reset 1|goaway 1/,
  },
  {
    name: "a pseudo-header at the end",
    bytes: [preface, settings, frame(1, 5, 1, block(undefined, literal(":status", "200")))],
    answer: /reset 1|goaway 1/,
  },
  {
    name: "no path",
    bytes: [
      preface,
      settings,
      frame(1, 5, 1, Buffer.concat([Buffer.of(0x83, 0x86), literal("content-type", "x")])),
    ],
    answer: /reset 1|goaway 1/,
  },
  {
    name: "padding",
    bytes: [
      preface,
      settings,
      frame(
        1,
        4 | 8 | 32,
        1,
        Buffer.concat([Buffer.of(3, 0, 0, 0, 0, 9), block(), Buffer.alloc(3)]),
      ),
      frame(0, 1 | 8, 1, Buffer.concat([Buffer.of(4), ok, Buffer.alloc(4)])),
    ],
    answer: /end/,
  },
  {
    name: "padding beyond its frame",
    bytes: [preface, settings, frame(1, 4, 1, block()), frame(0, 1 | 8, 1, Buffer.of(200, 1, 2))],
    answer: /goaway 1/,
  },
  {
    name: "a priority",
    bytes: [preface, settings, frame(2, 0, 1, Buffer.alloc(5)), call(1)],
    answer: /end/,
  },
  {
    name: "a promise",
    bytes: [preface, settings, frame(5, 4, 1, Buffer.alloc(4))],
    answer: /goaway 1/,
  },
  {
    name: "a reset of a stream that was not opened",
    bytes: [preface, settings, frame(3, 0, 1, u32(8))],
    answer: /goaway 1/,
  },
  {
    name: "a reset of 3 bytes",
    bytes: [preface, settings, frame(1, 4, 1, block()), frame(3, 0, 1, Buffer.alloc(3))],
    answer: /goaway 6/,
  },
  {
    name: "a call that is cancelled in its body, and one after it",
    bytes: [
      preface,
      settings,
      frame(1, 4, 1, block()),
      frame(0, 0, 1, ok.subarray(0, 7)),
      frame(3, 0, 1, u32(8)),
      call(3),
    ],
    answer: /end/,
  },
  {
    name: "resets without end",
    bytes: [
      preface,
      settings,
      ...Array.from({ length: 3000 }, (_, at) =>
        Buffer.concat([frame(1, 4, 2 * at + 1, block()), frame(3, 0, 2 * at + 1, u32(8))]),
      ),
    ],
    answer: /goaway \d+|closed/,
  },
  {
    name: "the client's own goaway, with a call open",
    bytes: [
      preface,
      settings,
      frame(1, 4, 1, block()),
      frame(7, 0, 0, u32(0, 0)),
      frame(0, 1, 1, ok),
    ],
    answer: /end|closed/,
  },
];

/** Sends the bytes, some time apart, and tells what came until something decisive did. */
async function converse({ bytes, answer }: OddConnection): Promise<string> {
  const peer = net.connect(socket);
  const told: string[] = [];
  let rest = Buffer.alloc(0);
  const { promise: done, resolve } = Promise.withResolvers<void>();
  peer.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const length = rest.readUIntBE(0, 3);
      const [type = 0, flags = 0] = rest.subarray(3);
      const payload = rest.subarray(9, 9 + length);
      rest = rest.subarray(9 + length);
      if (type === 0 && length > 0) told.push(`data ${length}`);
      if (type === 1 && flags & 1 && told.length === 0) told.push("headers");
      if (type <= 1 && flags & 1) told.push("end");
      if (type === 3) told.push(`reset ${payload.readUInt32BE(0)}`);
      if (type === 6 && flags & 1) told.push(`ping ${payload.toString("latin1")}`);
      if (type === 7) told.push(`goaway ${payload.readUInt32BE(4)}`);
    }
    if (answer.test(told.join(" "))) resolve();
  });
  peer.on("error", () => {});
  peer.on("close", () => {
    told.push("closed");
    resolve();
  });
  for (const piece of bytes) {
    if (!peer.destroyed) await new Promise((sent) => peer.write(piece, sent));
    if (bytes.length < 10) await new Promise((next) => setImmediate(next));
  }
  await done;
  peer.destroy();
  return told.join(" ");
}

suite("odd clients", () => {
  let folder = "";
  let server: GrpcServer;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "berth-odd-"));
    server = new GrpcServer({ path: path.join(folder, "s.sock"), maxRecvBytes: limitBytes });
    server.add(tasks, {
      Start: async ({ containerId }) => {
        seen.push(containerId);
        return { pid: 3 };
      },
      Get: async () => ({ process: { id: "x".repeat(300_000) } }),
      Kill: async () => {
        throw fault("NOT_FOUND", "zwölf: ≥ 12%\n");
      },
      Wait: (_request, { signal }) =>
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason as Error)),
        ),
    });
    server.add(containers, {
      ListStream: async function* ({ filters }) {
        for (const id of ["a", "b", "c"]) yield { container: { id } };
        if (filters.length > 0) throw fault("UNAVAILABLE", "no more");
      },
    });
    server.add(content, {
      Write: async function* (requests) {
        for await (const { offset } of requests) yield { offset };
      },
    });
    await server.listen();
    socket = server.path;
  });
  after(async () => {
    await server.close({ signal: AbortSignal.abort() });
    removeFolderSync(folder);
  });

  for (const odd of oddCalls) {
    test(`${odd.name}: ${odd.answer.source}`, async () => {
      const session = http2.connect("http://x", { createConnection: () => net.connect(socket) });
      session.on("error", () => {});
      try {
        assert.match(await ask(session, odd), odd.answer);
        if (!session.destroyed && odd.answer.source !== "^reset 11$") {
          assert.match(await ask(session, { name: "next", body: [ok], answer: served }), served);
        }
      } finally {
        session.destroy();
      }
    });
  }

  for (const odd of oddConnections) {
    test(`a connection with ${odd.name}: ${odd.answer.source}`, async () => {
      assert.match(await converse(odd), odd.answer);
      const good = await converse(oddConnections[0]!);
      assert.match(good, oddConnections[0]!.answer);
    });
  }

  test("no call is left of all these", async () => {
    while (server.inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
