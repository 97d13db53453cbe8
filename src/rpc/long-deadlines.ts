// SPDX-License-Identifier: Apache-2.0
import type { Http2Server, IncomingHttpHeaders } from "node:http2";
import type { Server } from "@grpc/grpc-js";

const header = "grpc-timeout";
const unitsToMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Lets a client allow its call more than 24.8 days. grpc-js (1.14) reads a call's timeout into 32 bits
 * and gives it to setTimeout, so 30 days fail at once and 50 days after seven hours. Such a call gets no
 * deadline here; its client still has one, and cancels. To be called before the server listens.
 *
 * grpc-js offers no look at a call's headers before it reads them, so this stands where it takes over
 * a new HTTP/2 server. Where a later grpc-js has no such place, calls keep what it makes of them.
 */
export function allowLongDeadlines(server: Server): void {
  const inner = server as unknown as {
    _setupHandlers?: (http2: Http2Server, ...rest: readonly unknown[]) => void;
  };
  const original = inner._setupHandlers;
  if (original === undefined) return;
  inner._setupHandlers = (http2, ...rest) => {
    http2.on("stream", (_stream, headers) => dropLongTimeout(headers));
    original.call(server, http2, ...rest);
  };
}

function dropLongTimeout(headers: IncomingHttpHeaders): void {
  const value = headers[header];
  if (typeof value !== "string") return;
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (match === null) return;
  const ms = Number(match[1]) * (unitsToMs[match[2] ?? ""] ?? 0);
  if (ms >= 2 ** 31) delete headers[header];
}
