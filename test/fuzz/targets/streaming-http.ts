// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { defaultConfig } from "../../../src/config/defaults.ts";
import { StreamingHttp } from "../../../src/streaming/http.ts";
import { MainLink } from "../../../src/streaming/main-link.ts";
import type { SessionTarget } from "../../../src/streaming/messages.ts";
import type { Protocol } from "../../../src/streaming/protocols.ts";
import type { Sessions, Upgraded } from "../../../src/streaming/sessions.ts";
import { Tokens } from "../../../src/streaming/tokens.ts";
import { sentInPieces } from "../support/cuts.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import type { FuzzTarget } from "../target.ts";

/** Stands in an input for the token of that run, and for another that was used up. */
const placeholder = "TOKEN";
const usedPlaceholder = "USED";

const selection = { stdin: true, stdout: true, stderr: true, tty: false };
const targets: readonly SessionTarget[] = [
  { kind: "exec", containerId: "c", command: ["sh"], ...selection },
  { kind: "attach", containerId: "c", ...selection },
  { kind: "port-forward", sandboxId: "p", ports: [] },
];
const paths = ["exec", "attach", "portforward"];
const tokens = new Tokens<SessionTarget>();
const served: Served[] = [];
const sessions = {
  isFull: false,
  serveSpdy: (target: SessionTarget, protocol: Protocol, upgraded: Upgraded): void =>
    serve({ over: "spdy/3.1", target, protocol, ...upgraded, ports: [] }),
  serveWebSocket: (
    target: SessionTarget,
    protocol: Protocol,
    upgraded: Upgraded,
    ports: readonly number[],
  ): void => serve({ over: "websocket", target, protocol, ...upgraded, ports }),
} as unknown as Sessions;
let http: StreamingHttp | undefined;

interface Served {
  readonly over: string;
  readonly target: SessionTarget;
  readonly protocol: Protocol;
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly ports: readonly number[];
  readonly received: Buffer[];
}

function serve(session: Omit<Served, "received">): void {
  const received: Buffer[] = [session.head];
  served.push({ ...session, received });
  session.transport.on("data", (piece: Buffer) => received.push(piece));
}

/**
 * A client's bytes from its first on, with the run's token where TOKEN stands. Nobody is served without the token
 * of his kind of URL, nobody twice, and whoever is served speaks a protocol that he has offered.
 */
export const target: FuzzTarget = {
  name: "streaming-http",
  parses: [
    "src/streaming/http.ts",
    "src/streaming/protocols.ts",
    "src/streaming/tokens.ts",
    "src/streaming/websocket/handshake.ts",
  ],
  maxBytes: 2048,
  dictionary: [
    "POST /exec/TOKEN HTTP/1.1\r\n",
    "GET /attach/TOKEN HTTP/1.1\r\n",
    "GET /portforward/TOKEN?port=80,0x51&ports=1e3 HTTP/1.1\r\n",
    "GET /exec/USED HTTP/1.1\r\n",
    "GET //exec/TOKEN HTTP/1.1\r\n",
    "/constructor/",
    "/../exec/",
    "%2e",
    "Host: a\r\n",
    "Connection: Upgrade\r\n",
    "Upgrade: SPDY/3.1\r\n",
    "Upgrade: websocket\r\n",
    "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n",
    "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n",
    "Sec-WebSocket-Version: 13\r\n",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "\r\n\r\n",
    "\n",
  ],
  *seeds() {
    const request = (first: string, headers: readonly string[], more = ""): Buffer =>
      Buffer.from([first, "Host: 127.0.0.1:1", ...headers, "", more].join("\r\n"));
    const spdy = ["Connection: Upgrade", "Upgrade: SPDY/3.1"];
    const webSocket = [
      "Connection: keep-alive, Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    const v5 = [
      "X-Stream-Protocol-Version: v5.channel.k8s.io",
      "X-Stream-Protocol-Version: v4.channel.k8s.io",
    ];
    const all: readonly (readonly [number, Buffer])[] = [
      [0, request("POST /exec/TOKEN HTTP/1.1", [...spdy, ...v5], "\x80\x03")],
      [1, request("POST /attach/TOKEN HTTP/1.1", [...spdy, ...v5, "Content-Length: 0"])],
      [
        2,
        request(
          "POST /portforward/TOKEN HTTP/1.1",
          [...spdy, "X-Stream-Protocol-Version: portforward.k8s.io"],
          "more",
        ),
      ],
      [
        0,
        request(
          "GET /exec/TOKEN?x=y HTTP/1.1",
          [...webSocket, "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io"],
          "data",
        ),
      ],
      [
        2,
        request("GET /portforward/TOKEN?port=80&port=81,82 HTTP/1.1", [
          ...webSocket,
          "Sec-WebSocket-Protocol: v4.base64.channel.k8s.io",
        ]),
      ],
      [2, request("GET /portforward/TOKEN?port=080&ports=+1 HTTP/1.1", webSocket)],
      [
        2,
        request("GET /portforward/TOKEN HTTP/1.1", [
          ...webSocket,
          "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io",
        ]),
      ],
      [1, request("GET /exec/TOKEN HTTP/1.1", webSocket)],
      [0, request("GET /exec/USED HTTP/1.1", webSocket)],
      [0, request("GET /exec/TOKEN HTTP/1.1", [])],
      [0, request("DELETE /exec/TOKEN HTTP/1.1", spdy)],
      [
        0,
        request("GET /exec/TOKEN HTTP/1.1", [
          ...spdy,
          "X-Stream-Protocol-Version: v9.channel.k8s.io",
        ]),
      ],
    ];
    for (const [kind, bytes] of all) {
      for (const cuts of [0, 1])
        yield Buffer.concat([Buffer.from([kind]), bytes, Buffer.from([0, cuts])]);
    }
  },
  async run(input) {
    http ??= new StreamingHttp({
      config: defaultConfig.streaming,
      tokens,
      sessions,
      link: new MainLink(() => {}),
    });
    served.length = 0;
    const kind = (input[0] ?? 0) % 3;
    const sessionTarget = targets[kind] ?? targets[0];
    assert.ok(sessionTarget);
    const used = tokens.issue(sessionTarget);
    tokens.consume(used);
    const token = tokens.issue(sessionTarget);
    const { pieces } = sentInPieces(filledIn(input.subarray(1), token, used));
    const sent = Buffer.concat(pieces).toString("latin1");
    const transport = new MemoryTransport();
    http.accept(transport);
    transport.arrive(...pieces);
    for (let turn = 0; turn < 8 && !transport.destroyed; turn += 1) await setImmediate();
    const written = transport.written.toString("latin1");
    const isStillGood = tokens.peek(token) !== undefined;
    tokens.consume(token);
    transport.destroy();
    for (let turn = 0; turn < 3; turn += 1) await setImmediate();

    assert.ok(served.length <= 1, "served twice");
    const [session] = served;
    assert.equal(isStillGood, session === undefined, "a token is used up by being served");
    if (session === undefined) {
      assert.match(written, /^$|^HTTP\/1\.1 ([45]\d\d |100 Continue\r\n\r\n)/);
      return;
    }
    checkServed(session, sent, written, token, kind);
  },
};

function checkServed(
  session: Served,
  sent: string,
  written: string,
  token: string,
  kind: number,
): void {
  assert.equal(session.target, targets[kind]);
  const line = `^(?:GET|POST) +/${paths[kind]}/${token}(?:\\?([^ \\r\\n]*))? +HTTP/1\\.1$`;
  const queries = [...sent.matchAll(new RegExp(line, "gm"))].map(([, query = ""]) => query);
  assert.ok(queries.length > 0, "nobody asked for it");
  const answers = written.split("HTTP/1.1 101 Switching Protocols\r\n");
  assert.equal(answers.length, 2);
  const answer = answers[1] ?? "";
  assert.ok(answer.toLowerCase().includes(`upgrade: ${session.over}\r\n`));
  assert.ok(answer.endsWith("\r\n\r\n"));
  const lower = sent.toLowerCase();
  const { name } = session.protocol;
  if (name !== "") {
    assert.ok(sent.includes(name), "a protocol that the client has not offered");
    assert.ok(answer.includes(`: ${name}\r\n`), "the client is not told which");
  }
  if (session.over === "websocket") assert.match(lower, /sec-websocket-version:\s*13/);
  for (const port of session.ports) {
    assert.ok(Number.isInteger(port) && port >= 1 && port <= 65_535);
    const asked = queries.some((query) => new RegExp(`0*${port}|%`).test(query));
    assert.ok(asked, `port ${port} was not asked for`);
  }
  // What comes behind the request is the session's, every byte.
  const tail = Buffer.concat(session.received).toString("latin1");
  assert.ok(sent.endsWith(tail), "the session got what was not sent behind the request");
  const behind = sent.slice(0, sent.length - tail.length);
  assert.match(behind, /\r?\n\r?\n(.*\n)*.*$/, "the session got a piece of the request");
}

function filledIn(input: Buffer, token: string, used: string): Buffer {
  const text = input
    .toString("latin1")
    .replaceAll(placeholder, token)
    .replaceAll(usedPlaceholder, used);
  return Buffer.from(text, "latin1");
}
