// SPDX-License-Identifier: Apache-2.0

import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { startTimer } from "../base/timers.ts";

/** Why a request is refused, as HTTP says it. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const plainText = { "content-type": "text/plain; charset=utf-8" } as const;

/** Refuses an upgrade and closes the connection, which is no longer the HTTP server's. */
export function refuse(transport: Duplex, { status, message, headers = {} }: Refusal): void {
  const body = `${message}\n`;
  const fields = {
    ...plainText,
    ...headers,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  transport.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
  transport.resume(); // unread bytes would reset the connection before the client reads this
  const timer = startTimer(() => transport.destroy(), 1000);
  transport.once("close", () => timer.stop());
  transport.once("end", () => transport.destroy());
}
