// SPDX-License-Identifier: Apache-2.0
import type { EventEmitter } from "node:events";
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import { fault, isAbort, type RuntimeFault } from "../base/errors.ts";
import type { MemoryPool } from "../base/memory/memory-pool.ts";
import { nextEvent, unlessAborted } from "../base/waits.ts";
import { EncodedMessage } from "./encoded-message.ts";
import { maxFields } from "./field-count.ts";
import { leastSizeOf } from "./message-size.ts";
import type { CallContext, ServiceName } from "./service.ts";
import type { ServiceMethod } from "./service-methods.ts";
import { faultAtBoundary } from "./status.ts";

/** The shortest field: its tag, and a length or a number. */
const leastFieldBytes = 2;

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
export type StreamCall = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;
export type AnyCall = UnaryCall | StreamCall;

/** What is known about a call once it has ended: for metrics and the log. */
export interface CallReport {
  readonly service: ServiceName;
  readonly method: string;
  readonly namespace: string | undefined;
  readonly durationSeconds: number;
  readonly code: "OK" | RuntimeFault["code"];
  /** The failure with its cause; undefined when code is OK. */
  readonly error: RuntimeFault | undefined;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** One call being served: its context, its byte counts, and how it ended. */
export class ServedCall {
  readonly context: CallContext;
  readonly endsAtShutdown: boolean;
  requestBytes = 0;
  responseBytes = 0;
  readonly #call: AnyCall;
  readonly #method: ServiceMethod;
  readonly #abort = new AbortController();
  readonly #startedAt = performance.now();
  #isShutDown = false;
  #isOver = false;

  constructor(call: AnyCall, method: ServiceMethod, endsAtShutdown: boolean) {
    this.#call = call;
    this.#method = method;
    this.endsAtShutdown = endsAtShutdown;
    this.context = contextOf(call, this.#abort.signal);
    const events: EventEmitter = call;
    // grpc-js says "cancelled" at the end of every call. After an answer that means nothing.
    events.once("cancelled", () => {
      if (!this.#isOver) this.#abort.abort(cancelReason(call));
    });
  }

  get path(): string {
    return this.#method.path;
  }

  get wasCancelled(): boolean {
    return this.#call.cancelled;
  }

  shutDown(): void {
    this.#isShutDown = true;
    this.#abort.abort();
  }

  decode(bytes: Buffer): unknown {
    this.requestBytes += bytes.length;
    this.#refuseTooManyFields(bytes);
    const request = this.#decoded(bytes);
    this.#method.refuseUnknown(request);
    return request;
  }

  #decoded(bytes: Buffer): unknown {
    try {
      return this.#method.request.decode(bytes);
    } catch (error) {
      throw fault("INTERNAL", `cannot decode the request of ${this.#method.path}`, {
        cause: error,
      });
    }
  }

  /** Two bytes of a message can become an object: the heap is for so many. */
  #refuseTooManyFields(bytes: Buffer): void {
    if (bytes.length <= maxFields * leastFieldBytes) return;
    if (this.#method.request.countFields(bytes, maxFields) <= maxFields) return;
    throw fault(
      "RESOURCE_EXHAUSTED",
      `request of ${this.#method.path} has too many fields: the daemon has memory for ${maxFields}`,
    );
  }

  /** RESOURCE_EXHAUSTED for an answer that no client would take, if possible before it is encoded. */
  encode(answer: unknown, maxBytes: number, leastBytes: number): Buffer {
    if (leastBytes > maxBytes) throw this.#tooLarge(`at least ${leastBytes}`, maxBytes);
    const bytes =
      answer instanceof EncodedMessage ? answer.encode() : this.#method.response.encode(answer);
    if (bytes.length > maxBytes) throw this.#tooLarge(`${bytes.length}`, maxBytes);
    this.responseBytes += bytes.length;
    return bytes;
  }

  #tooLarge(bytes: string, maxBytes: number): RuntimeFault {
    const { name, path, service } = this.#method;
    const stream = service.startsWith("runtime.v1.") ? streams[name] : undefined;
    const way = stream === undefined ? "" : `: ask for less with a filter, or call ${stream}`;
    return fault(
      "RESOURCE_EXHAUSTED",
      `answer of ${path} is too large: ${bytes} bytes, the limit is ${maxBytes}${way}`,
    );
  }

  /** Its answer has been sent, or the client has gone. */
  onceOver(listener: () => void): void {
    const events: EventEmitter = this.#call;
    events.once("cancelled", listener);
  }

  /** The fault to answer. An abort that our own shutdown caused is worth a retry elsewhere or later. */
  faultOf(error: unknown): RuntimeFault {
    if (this.#isShutDown && (isAbort(error) || error === this.context.signal.reason)) {
      return fault("UNAVAILABLE", "the daemon is shutting down", { cause: error });
    }
    return faultAtBoundary(error);
  }

  /** Its handler has come to an end: nothing can cancel it any more. */
  end(): void {
    this.#isOver = true;
  }

  report(error: RuntimeFault | undefined): CallReport {
    return {
      service: this.#method.service,
      method: this.#method.name,
      namespace: this.context.namespace,
      durationSeconds: (performance.now() - this.#startedAt) / 1000,
      code: error?.code ?? "OK",
      error,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
    };
  }
}

/** CRI's streams have the items of the lists, in messages of their own. */
const streams: Readonly<Record<string, string>> = {
  ListPodSandbox: "StreamPodSandboxes",
  ListContainers: "StreamContainers",
  ListContainerStats: "StreamContainerStats",
  ListPodSandboxStats: "StreamPodSandboxStats",
  ListPodSandboxMetrics: "StreamPodSandboxMetrics",
  ListImages: "StreamImages",
};

function contextOf(call: AnyCall, signal: AbortSignal): CallContext {
  const { metadata } = call;
  let headers: Record<string, string> | undefined;
  return {
    signal,
    namespace: firstOf(metadata.get("containerd-namespace")[0]?.toString()) || undefined,
    // Few handlers look at the headers, so they are only collected for those.
    get headers() {
      headers ??= Object.fromEntries(
        Object.entries(metadata.getMap()).map(([name, value]) => [
          name,
          name.startsWith("containerd-") ? (firstOf(value.toString()) ?? "") : value.toString(),
        ]),
      );
      return headers;
    },
  };
}

/**
 * The first of a header's values. A Go client that sets its namespace or lease anew sends the older ones
 * along, after it; HTTP/2 joins them with commas, which neither may contain.
 */
function firstOf(value: string | undefined): string | undefined {
  return value?.split(",", 1)[0]?.trim();
}

function cancelReason(call: AnyCall): DOMException {
  const deadline = call.getDeadline();
  return Number(deadline) <= Date.now()
    ? new DOMException("the deadline of the call has passed", "TimeoutError")
    : new DOMException("the caller cancelled the call", "AbortError");
}

/** The messages of the client's stream, decoded, until it half-closes. */
export async function* requestsOf(
  call: ServerDuplexStream<Buffer, Buffer>,
  served: ServedCall,
): AsyncGenerator<unknown, void, undefined> {
  try {
    // Destroying the duplex would cut off the answers, so leaving the loop early must not.
    for await (const bytes of call.iterator({ destroyOnReturn: false })) {
      yield served.decode(bytes as Buffer);
    }
  } catch (error) {
    served.context.signal.throwIfAborted();
    throw error;
  }
}

/** Answers smaller than this are not counted: there are as many as there are calls. */
const smallAnswerBytes = 16 * 1024;

/** An answer is encoded, gets a frame by being copied, and what the one before took is not collected yet. */
const copies = 4;

/** What an answer takes until the client has it; 0 for one that is not counted. */
export function answerCost(leastBytes: number, memory: MemoryPool): number {
  return leastBytes < smallAnswerBytes ? 0 : Math.min(copies * leastBytes, memory.limitBytes);
}

/**
 * Writes every answer, waiting where the client is slow. One that does not read while others need the memory
 * loses its stream: RESOURCE_EXHAUSTED.
 */
export async function sendAll(
  call: StreamCall,
  served: ServedCall,
  answers: AsyncIterable<unknown>,
  { maxBytes, memory }: { readonly maxBytes: number; readonly memory: MemoryPool },
): Promise<void> {
  const { signal } = served.context;
  // The headers show a subscriber that its call was accepted, long before the first message.
  call.sendMetadata(new Metadata());
  for await (const answer of answers) {
    signal.throwIfAborted();
    const least = leastSizeOf(answer);
    const cost = answerCost(least, memory);
    const lost = new AbortController();
    using _share =
      cost === 0
        ? undefined
        : await memory.take(cost, `answer of ${served.path}`, {
            signal,
            onRevoke: (reason) => lost.abort(reason),
          });
    const bytes = served.encode(answer, maxBytes, least);
    const over = AbortSignal.any([signal, lost.signal]);
    if (cost > 0) await unlessAborted(written(call, bytes), over);
    else if (!call.write(bytes)) await nextEvent(call, ["drain"], over);
  }
  signal.throwIfAborted();
}

/**
 * Writes a message and waits until the client's window has taken all of it: a stream has "room" for sixteen
 * messages, however large they are. grpc-js never calls back for a write on a cancelled call, and "drain" does not
 * come either: whoever waits needs a signal.
 */
async function written(call: StreamCall, bytes: Buffer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  call.write(bytes, () => resolve());
  await promise;
}
