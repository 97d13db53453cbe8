// SPDX-License-Identifier: Apache-2.0
import { unlessAborted } from "../base/waits.ts";
import type {
  CallContext,
  CallOptions,
  ServiceClient,
  ServiceImpl,
  ServiceName,
} from "./service.ts";
import { methodsOf, type ServiceMethod, unimplemented } from "./service-methods.ts";
import { faultAtBoundary } from "./status.ts";

type Handler = (request: unknown, context: CallContext) => unknown;

/**
 * A client that calls an implementation directly, and behaves as one over gRPC does: messages are
 * completed by the codec, errors are faults, and an aborted call rejects at once, also when the
 * handler is slow to notice. Objects are not copied: neither side may change what it passed.
 */
export function inProcessClient<S extends ServiceName>(
  service: S,
  impl: ServiceImpl<S>,
): ServiceClient<S> {
  const handlers = impl as Readonly<Record<string, Handler | undefined>>;
  const client: Record<string, unknown> = {};
  for (const method of methodsOf(service)) {
    const handler: Handler =
      handlers[method.name]?.bind(impl) ??
      (() => {
        throw unimplemented(service, method.name);
      });
    client[method.name] =
      method.kind === "unary" ? unary(method, handler) : stream(method, handler);
  }
  return client as ServiceClient<S>;
}

function unary(method: ServiceMethod, handler: Handler) {
  return async (request: unknown, options: CallOptions = {}): Promise<unknown> => {
    try {
      options.signal?.throwIfAborted();
      const work = Promise.try(handler, method.request.normalize(request), contextOf(options));
      return method.response.normalize(await unlessAborted(work, options.signal));
    } catch (error) {
      throw faultAtBoundary(error);
    }
  };
}

function stream(method: ServiceMethod, handler: Handler) {
  return async function* (
    request: unknown,
    options: CallOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const abort = new AbortController();
    const signal = options.signal ? AbortSignal.any([abort.signal, options.signal]) : abort.signal;
    const input =
      method.kind === "bidi"
        ? normalized(method, request as AsyncIterable<unknown>)
        : method.request.normalize(request);
    let iterator: AsyncIterator<unknown> | undefined;
    try {
      signal.throwIfAborted();
      const answers = handler(input, contextOf({ ...options, signal })) as AsyncIterable<unknown>;
      iterator = answers[Symbol.asyncIterator]();
      for (;;) {
        const next = await unlessAborted(iterator.next(), signal);
        if (next.done) return;
        yield method.response.normalize(next.value);
      }
    } catch (error) {
      throw faultAtBoundary(error);
    } finally {
      // The caller left its loop: the handler is aborted, as when a gRPC stream is cancelled.
      abort.abort();
      iterator?.return?.()?.catch(() => {}); // its failure concerns nobody any more
    }
  };
}

async function* normalized(
  method: ServiceMethod,
  requests: AsyncIterable<unknown>,
): AsyncGenerator<unknown, void, undefined> {
  for await (const request of requests) yield method.request.normalize(request);
}

function contextOf(options: CallOptions): CallContext {
  return {
    signal: options.signal ?? new AbortController().signal,
    namespace: options.namespace,
    headers: options.headers ?? {},
  };
}
