// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { fault, type RuntimeFault } from "../../../src/base/errors.ts";
import type { CallContext } from "../../../src/rpc/service.ts";
import type { ServiceMethod } from "../../../src/rpc/service-methods.ts";
import { statusOf } from "../../../src/rpc/status.ts";
import type { ByteSource } from "../byte-source.ts";

// Calls of services without a server between: what that does with requests, answers and faults.

/** What serves a method, whichever it is. */
export type Handler = (request: unknown, call: CallContext) => unknown;

/** Any bytes as a request, `most` of them; undefined where they are none. */
export function decodedRequest(
  source: ByteSource,
  { request: codec }: ServiceMethod,
  most: number,
): unknown {
  let request: unknown;
  try {
    request = codec.decode(source.bytes(most));
  } catch (error) {
    assert.ok(error instanceof Error); // protobufjs' own: the server answers it as INTERNAL
    return undefined;
  }
  assert.deepEqual(codec.decode(codec.encode(request)), request);
  assert.deepEqual(codec.normalize(request), request);
  return request;
}

/** An answer is complete when a client has it, as its descriptor says. */
export function checkAnswer({ response, path }: ServiceMethod, answer: unknown): void {
  assert.deepEqual(response.decode(response.encode(answer)), response.normalize(answer), path);
}

/** A fault as its caller gets it: a message is cut on its way out. */
export function asSent(error: RuntimeFault): RuntimeFault {
  return fault(error.code, statusOf(error).message.slice(0, 4096), { cause: error });
}
