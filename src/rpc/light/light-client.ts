// SPDX-License-Identifier: Apache-2.0
// A gRPC client that is there at once: src/rpc/grpc-client.ts needs 200 ms and 30 MB before its first call, for what
// programs that ask one question have no use for. Both are held by the same tests.
import { fault } from "../../base/errors.ts";
import { onAbort } from "../../base/on-abort.ts";
import { Http2Connection } from "../http2/connection.ts";
import type { CallOptions, ServiceClient, ServiceName } from "../service.ts";
import { faultAtBoundary } from "../status.ts";
import { LightCall } from "./light-call.ts";
import { type LightCodec, lightCodec } from "./light-codec.ts";
import { type MethodNode, resolved, type Scope, scopeOf } from "./light-types.ts";

const maxMessageBytes = 16 * 1024 * 1024;
const plainText = /^[\x20-\x7e]*$/;

/**
 * A connection to a gRPC server on a unix socket. It is made at the first call, and again after a loss, or once the server
 * goes away: it still answers what it has begun.
 */
export interface LightConnection extends Disposable {
  client<S extends ServiceName>(service: S): ServiceClient<S>;
}

export function connectLight(path: string): LightConnection {
  let connection: Http2Connection | undefined;
  /** Those that take no new calls, and answer what they have begun. */
  const leaving = new Set<Http2Connection>();
  let isClosed = false;
  const connected = (): Http2Connection => {
    if (isClosed) throw fault("UNAVAILABLE", "the connection has been closed");
    if (connection?.isOpen === true) return connection;
    if (connection) leaving.add(connection);
    for (const earlier of leaving) if (earlier.isOver) leaving.delete(earlier);
    connection = new Http2Connection(path);
    return connection;
  };
  return {
    client: (service) => clientOf(service, connected),
    [Symbol.dispose]: () => {
      isClosed = true;
      for (const each of leaving) each.close();
      connection?.close();
    },
  };
}

interface Method {
  readonly path: string;
  readonly request: LightCodec;
  readonly response: LightCodec;
  readonly isBidi: boolean;
}

type Connected = () => Http2Connection;

function clientOf<S extends ServiceName>(service: S, connected: Connected): ServiceClient<S> {
  const scope = scopeOf(service);
  if (scope === undefined) throw new TypeError(`no such service: ${service}`);
  const client: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(scope.at(-1)?.methods ?? {})) {
    const isUnary = node.requestStream !== true && node.responseStream !== true;
    const method = methodOf(scope, `/${service}/${name}`, node);
    client[name] = isUnary ? unary(method, connected) : stream(method, connected);
  }
  return client as ServiceClient<S>;
}

function methodOf(scope: Scope, path: string, node: MethodNode): Method {
  return {
    path,
    request: lightCodec(resolved(scope, node.requestType)),
    response: lightCodec(resolved(scope, node.responseType)),
    isBidi: node.requestStream === true,
  };
}

function unary(method: Method, connected: Connected) {
  return async (request: unknown, options: CallOptions = {}): Promise<unknown> => {
    const bytes = method.request.encode(request);
    const { call, reaction } = begin(method, connected, options);
    using _reaction = reaction;
    sendAll(call, [bytes]);
    const answer = await call.next();
    if (answer === undefined) throw fault("INTERNAL", `${method.path} ended without an answer`);
    if ((await call.next()) !== undefined) {
      throw fault("INTERNAL", `${method.path} answered more than once`);
    }
    return method.response.decode(answer);
  };
}

function stream(method: Method, connected: Connected) {
  return async function* (
    request: unknown,
    options: CallOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const { call, reaction } = begin(method, connected, options);
    using _reaction = reaction;
    try {
      sendAll(call, encoded(method, request));
      for (let answer = await call.next(); answer !== undefined; answer = await call.next()) {
        yield method.response.decode(answer);
      }
    } finally {
      call.cancel(fault("CANCELLED", "nobody wants the answers"));
    }
  };
}

function begin(method: Method, connected: Connected, options: CallOptions) {
  const { signal } = options;
  if (signal?.aborted) throw faultAtBoundary(signal.reason);
  const call = new LightCall(connected(), headersOf(method, options), maxMessageBytes);
  return { call, reaction: onAbort(signal, (reason) => call.cancel(faultAtBoundary(reason))) };
}

async function* encoded(method: Method, request: unknown): AsyncGenerator<Buffer> {
  if (!method.isBidi) yield method.request.encode(request);
  else {
    for await (const one of request as AsyncIterable<unknown>) yield method.request.encode(one);
  }
}

/** Sends beside the answers; a failure ends the call. */
function sendAll(call: LightCall, requests: Iterable<Buffer> | AsyncIterable<Buffer>): void {
  const sending = async (): Promise<void> => {
    for await (const bytes of requests) await call.send(bytes, false);
    await call.finish();
  };
  sending().catch((error: unknown) => call.cancel(faultAtBoundary(error)));
}

function headersOf({ path }: Method, options: CallOptions): [string, string][] {
  const given = Object.entries(options.headers ?? {});
  if (options.namespace !== undefined) given.push(["containerd-namespace", options.namespace]);
  for (const [name, value] of given) {
    if (plainText.test(value)) continue;
    throw fault("INVALID_ARGUMENT", `header ${name} has characters that cannot be sent`);
  }
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ...given,
  ];
}
