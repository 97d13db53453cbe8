// SPDX-License-Identifier: Apache-2.0
import type { IncomingHttpHeaders } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { beforeEachCall } from "./each-call.ts";

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
 */
export function allowLongDeadlines(server: Server): void {
  beforeEachCall(server, (_stream, headers) => dropLongTimeout(headers));
}

function dropLongTimeout(headers: IncomingHttpHeaders): void {
  const value = headers[header];
  if (typeof value !== "string") return;
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (match === null) return;
  const ms = Number(match[1]) * (unitsToMs[match[2] ?? ""] ?? 0);
  if (ms >= 2 ** 31) delete headers[header];
}
