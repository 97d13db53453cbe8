// SPDX-License-Identifier: Apache-2.0
import * as grpc from "@grpc/grpc-js";
import type protobuf from "protobufjs";
import { type FaultCode, fault } from "../../src/base/errors.ts";
import { codec, type MessageName } from "../../src/rpc/codec.ts";
import type { CallOptions, ServiceClient, ServiceName } from "../../src/rpc/service.ts";
import { rootOf } from "./whole-roots.ts";

/** A connection to a CRI or containerd socket, ours or another's. */
export interface GrpcPeer extends Disposable {
  client<S extends ServiceName>(service: S): ServiceClient<S>;
}

/**
 * A client of its own for tests and benches, straight on grpc-js: what it sees is what any other
 * client sees, whatever our own client library does. Failures arrive as RuntimeFault with the
 * status' code and details.
 */
export function connectPeer(socketPath: string): GrpcPeer {
  // grpc-js percent-decodes nothing in unix: targets, so a path with a space goes in as it is.
  const channel = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": 64 << 20,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 200,
  });
  return {
    client: (service) => makeClient(channel, service),
    [Symbol.dispose]: () => channel.close(),
  };
}

function makeClient<S extends ServiceName>(channel: grpc.Client, name: S): ServiceClient<S> {
  const service = rootOf(name).lookupService(name);
  const methods: Record<string, unknown> = {};
  for (const method of service.methodsArray) methods[method.name] = makeCall(channel, name, method);
  return methods as ServiceClient<S>;
}

function makeCall(channel: grpc.Client, service: string, method: protobuf.Method): unknown {
  const path = `/${service}/${method.name}`;
  const request = codec(method.resolvedRequestType!.fullName.slice(1) as MessageName);
  const response = codec(method.resolvedResponseType!.fullName.slice(1) as MessageName);
  const encode = (value: unknown): Buffer => request.encode(value as never);
  const decode = (bytes: Buffer): unknown => response.decode(bytes);
  if (method.responseStream) {
    return async function* stream(value: unknown, options?: CallOptions) {
      const call = channel.makeServerStreamRequest(path, encode, decode, value, headersOf(options));
      const cancel = (): void => call.cancel();
      options?.signal?.addEventListener("abort", cancel, { once: true });
      try {
        for await (const message of call) yield message;
      } catch (error) {
        throw asFault(error);
      } finally {
        options?.signal?.removeEventListener("abort", cancel);
        call.cancel();
      }
    };
  }
  return (value: unknown, options?: CallOptions) =>
    new Promise((resolve, reject) => {
      const call = channel.makeUnaryRequest(
        path,
        encode,
        decode,
        value,
        headersOf(options),
        { deadline: Date.now() + 120_000 },
        (error, answer) => {
          options?.signal?.removeEventListener("abort", cancel);
          if (error) reject(asFault(error));
          else resolve(answer);
        },
      );
      function cancel(): void {
        call.cancel();
      }
      options?.signal?.addEventListener("abort", cancel, { once: true });
    });
}

function headersOf(options: CallOptions | undefined): grpc.Metadata {
  const metadata = new grpc.Metadata({ waitForReady: false });
  if (options?.namespace !== undefined) metadata.set("containerd-namespace", options.namespace);
  for (const [key, value] of Object.entries(options?.headers ?? {})) metadata.set(key, value);
  return metadata;
}

function asFault(error: unknown): Error {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "number") {
    return error instanceof Error ? error : new Error(String(error));
  }
  const details = "details" in error ? String(error.details) : error.message;
  return fault((grpc.status[error.code] ?? "UNKNOWN") as FaultCode, details);
}
