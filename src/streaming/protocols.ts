// SPDX-License-Identifier: Apache-2.0
import type { SessionTarget } from "./messages.ts";

type Kind = SessionTarget["kind"];

/** A subprotocol that client and server agreed on. */
export interface Protocol {
  readonly name: string;
  /** Of the remote command protocol. */
  readonly version: number;
  readonly base64: boolean;
  /** SPDY in the messages of a WebSocket. */
  readonly tunnel: boolean;
}

const plain = (name: string, version: number): Protocol => ({
  name,
  version,
  base64: false,
  tunnel: false,
});
const base64 = (name: string, version: number): Protocol => ({
  ...plain(name, version),
  base64: true,
});

const command = [5, 4, 3, 2].map((version) => plain(`v${version}.channel.k8s.io`, version));
const first = plain("channel.k8s.io", 1);
const portForward = "portforward.k8s.io";
const tunnelProtocol = `SPDY/3.1+${portForward}`;

const overSpdy: Record<Kind, readonly Protocol[]> = {
  exec: [...command, first],
  attach: [...command, first],
  "port-forward": [plain(portForward, 0)],
};

const commandOverWebSocket = [
  plain("v5.channel.k8s.io", 5),
  plain("v4.channel.k8s.io", 4),
  base64("v4.base64.channel.k8s.io", 4),
  first,
  base64("base64.channel.k8s.io", 1),
];

const overWebSocket: Record<Kind, readonly Protocol[]> = {
  exec: commandOverWebSocket,
  attach: commandOverWebSocket,
  "port-forward": [
    { ...plain(tunnelProtocol, 0), tunnel: true },
    plain("v4.channel.k8s.io", 4),
    base64("v4.base64.channel.k8s.io", 4),
  ],
};

/** The protocol of a WebSocket client that names none. */
export const unnamedProtocol: Protocol = plain("", 1);

export function protocolsOf(kind: Kind, transport: "spdy" | "websocket"): readonly Protocol[] {
  return (transport === "spdy" ? overSpdy : overWebSocket)[kind];
}

/** The first one in the client's order that we speak too. */
export function chooseProtocol(
  offered: readonly string[],
  spoken: readonly Protocol[],
): Protocol | undefined {
  for (const name of offered) {
    const found = spoken.find((protocol) => protocol.name === name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The names that a header lists. Node joins a header that comes several times with ", ". */
export function listedNames(header: string | readonly string[] | undefined): string[] {
  const text = typeof header === "string" ? header : (header ?? []).join(",");
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
