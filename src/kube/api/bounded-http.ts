// SPDX-License-Identifier: Apache-2.0
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import {
  type PromiseHttpLibrary,
  type RequestContext,
  ResponseContext,
} from "@kubernetes/client-node";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { onAbort } from "../../base/on-abort.ts";
import type { KubeAccess } from "./open-kubeconfig.ts";
import { AnswerTooLarge } from "./problem.ts";

/** From the connection to the last byte of an answer. */
const requestMs = 10_000;
/** A Node has some ten KiB, with the images on it a hundred; a list is asked for in parts. */
const mostAnswerBytes = 4 << 20;

/**
 * Carries the library's requests. Its own way would wait for any time, take in any answer, and follow to wherever a
 * server points; here each has an end, in time and in bytes, and a connection of its own.
 */
export class BoundedHttp implements PromiseHttpLibrary {
  readonly #access: KubeAccess;
  readonly #signal: AbortSignal;

  constructor(access: KubeAccess, { signal }: Cancellable) {
    this.#access = access;
    this.#signal = signal;
  }

  async send(request: RequestContext): Promise<ResponseContext> {
    using limit = deadline(requestMs, "the API server's answer", this.#signal);
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const { options } = this.#access;
    const url = new URL(request.getUrl());
    const body = request.getBody();
    const outgoing = (url.protocol === "http:" ? http : https).request(url, {
      ...options,
      method: request.getHttpMethod(),
      headers: { ...request.getHeaders(), ...(options.headers as Record<string, string>) },
    });
    using _end = endOf(outgoing);
    outgoing.once("response", resolve);
    outgoing.on("error", reject);
    using _reaction = onAbort(limit.signal, (why) => outgoing.destroy(why));
    outgoing.end(typeof body === "string" ? body : undefined);
    const response = await promise;
    const text = await bodyOf(response);
    return new ResponseContext(response.statusCode ?? 0, headersOf(response), {
      text: () => Promise.resolve(text),
      binary: () => Promise.resolve(Buffer.from(text)),
      stream: () => null,
    });
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > mostAnswerBytes) {
      throw new AnswerTooLarge(mostAnswerBytes);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value].flat().join(", ")]),
  );
}

function endOf(outgoing: http.ClientRequest): Disposable {
  return { [Symbol.dispose]: () => outgoing.destroy() };
}
