// SPDX-License-Identifier: Apache-2.0
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import type { Cancellable } from "../base/cancellable.ts";
import { fault, RuntimeFault } from "../base/errors.ts";
import { onAbort } from "../base/on-abort.ts";
import { nextEvent } from "../base/waits.ts";
import type { CallOptions, ServiceClient, ServiceName } from "./service.ts";
import { methodsOf, type ServiceMethod } from "./service-methods.ts";
import { faultAtBoundary, faultOfStatus } from "./status.ts";

export interface GrpcConnectionOptions {
  /** Largest message in either direction, in bytes; default 16 MiB. */
  readonly maxMessageBytes?: number;
}

/** A channel to a gRPC server on a unix socket. It connects on first use, and again after a loss. */
export interface GrpcConnection extends Disposable {
  readonly path: string;
  client<S extends ServiceName>(service: S): ServiceClient<S>;
  /** Resolves once the channel is connected; UNAVAILABLE or DEADLINE_EXCEEDED otherwise. */
  ready(call: Cancellable): Promise<void>;
  close(): void;
}

type ReadableCall = ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;

export function connectGrpc(path: string, options: GrpcConnectionOptions = {}): GrpcConnection {
  const limit = options.maxMessageBytes ?? 16 * 1024 * 1024;
  const channel = new Client(`unix:${path}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": limit,
    "grpc.max_send_message_length": limit,
    "grpc.enable_channelz": 0,
    "grpc.enable_retries": 0,
    // Short, so that a daemon that restarts is found again soon.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
  });
  const close = (): void => channel.close();
  return {
    path,
    client: (service) => clientOf(channel, service),
    ready: (call) => ready(channel, path, call),
    close,
    [Symbol.dispose]: close,
  };
}

function clientOf<S extends ServiceName>(channel: Client, service: S): ServiceClient<S> {
  const client: Record<string, unknown> = {};
  for (const method of methodsOf(service)) {
    client[method.name] =
      method.kind === "unary" ? unary(channel, method) : stream(channel, method);
  }
  return client as ServiceClient<S>;
}

function unary(channel: Client, method: ServiceMethod) {
  return async (request: unknown, options: CallOptions = {}): Promise<unknown> => {
    const { signal } = options;
    throwIfAborted(signal);
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const call = channel.makeUnaryRequest(
      method.path,
      identity,
      identity,
      method.request.encode(request),
      metadataOf(options),
      (error, answer) => {
        if (answer) resolve(answer);
        else reject(faultOf(error, signal));
      },
    );
    using _reaction = onAbort(signal, () => call.cancel());
    return method.response.decode(await promise);
  };
}

function stream(channel: Client, method: ServiceMethod) {
  return async function* (
    request: unknown,
    options: CallOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const { signal } = options;
    throwIfAborted(signal);
    const call = open(channel, method, request, options);
    using _reaction = onAbort(signal, () => call.cancel());
    try {
      for await (const bytes of call) yield method.response.decode(bytes as Buffer);
      throwIfAborted(signal);
    } catch (error) {
      throw faultOf(error, signal);
    } finally {
      call.on("error", () => {}); // the cancel below is reported there
      call.cancel();
    }
  };
}

function open(
  channel: Client,
  method: ServiceMethod,
  request: unknown,
  options: CallOptions,
): ReadableCall {
  const metadata = metadataOf(options);
  if (method.kind === "serverStream") {
    const bytes = method.request.encode(request);
    return channel.makeServerStreamRequest(method.path, identity, identity, bytes, metadata);
  }
  const call = channel.makeBidiStreamRequest(method.path, identity, identity, metadata);
  void sendRequests(call, method, request as AsyncIterable<unknown>); // a failure destroys the call
  return call;
}

async function sendRequests(
  call: ClientDuplexStream<Buffer, Buffer>,
  method: ServiceMethod,
  requests: AsyncIterable<unknown>,
): Promise<void> {
  try {
    for await (const request of requests) {
      if (call.destroyed || call.writableEnded) return;
      const hasRoom = call.write(method.request.encode(request));
      if (!hasRoom) await nextEvent(call, ["drain", "close", "end"]);
    }
    call.end();
  } catch (error) {
    call.cancel();
    call.destroy(error as Error);
  }
}

function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  if (options.namespace !== undefined) metadata.set("containerd-namespace", options.namespace);
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  return metadata;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw faultAtBoundary(signal.reason);
}

/** grpc-js' error as a fault. After an abort its text says nothing, so the fault has the signal's reason. */
function faultOf(error: unknown, signal: AbortSignal | undefined): RuntimeFault {
  if (error instanceof RuntimeFault) return error;
  if (signal?.aborted) return faultAtBoundary(signal.reason);
  const status = error as Partial<ServiceError> | null;
  if (typeof status?.code !== "number") return faultAtBoundary(error);
  return faultOfStatus({ code: status.code, message: plainReason(status.details ?? "") });
}

/** grpc-js wraps why it has no connection; the reason alone is what a user can act on. */
function plainReason(details: string): string {
  return (
    /^No connection established\. Last error: (?:Error: )?(.+?)\. Resolution note:/s.exec(
      details,
    )?.[1] ?? details
  );
}

async function ready(channel: Client, path: string, { signal }: Cancellable): Promise<void> {
  throwIfAborted(signal);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  using _reaction = onAbort(signal, (reason) => reject(faultAtBoundary(reason)));
  // The channel's own deadline is only a backstop: the signal is the caller's.
  channel.waitForReady(Date.now() + 600_000, (error) => {
    if (error) reject(fault("UNAVAILABLE", `cannot connect to "${path}": ${error.message}`));
    else resolve();
  });
  await promise;
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}
