// SPDX-License-Identifier: Apache-2.0

import type { ContainerdServices } from "../gen/containerd-index.gen.ts";
import type { CriServices } from "../gen/cri-index.gen.ts";
import type { NriServices } from "../gen/nri-index.gen.ts";

/** Every service of all trees by full name. */
export type Services = ContainerdServices & CriServices & NriServices;
export type ServiceName = keyof Services & string;

/** A method of a service. */
export type MethodName<S extends ServiceName> = keyof Services[S] & string;

/** What a handler knows about its call. `signal` fires on cancel, deadline and shutdown. */
export interface CallContext {
  readonly signal: AbortSignal;
  /** The `containerd-namespace` header; undefined when the caller sent none. */
  readonly namespace: string | undefined;
  /** Other request headers, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What a caller says about its call. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly namespace?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

interface MethodShape {
  kind: string;
  req: unknown;
  reqInit: unknown;
  res: unknown;
  resInit: unknown;
}

type HandlerOf<M> = M extends MethodShape
  ? M["kind"] extends "unary"
    ? (req: M["req"], ctx: CallContext) => Promise<M["resInit"]>
    : M["kind"] extends "serverStream"
      ? (req: M["req"], ctx: CallContext) => AsyncIterable<M["resInit"]>
      : (req: AsyncIterable<M["req"]>, ctx: CallContext) => AsyncIterable<M["resInit"]>
  : never;

type CallOf<M> = M extends MethodShape
  ? M["kind"] extends "unary"
    ? (req: M["reqInit"], options?: CallOptions) => Promise<M["res"]>
    : M["kind"] extends "serverStream"
      ? (req: M["reqInit"], options?: CallOptions) => AsyncIterable<M["res"]>
      : (req: AsyncIterable<M["reqInit"]>, options?: CallOptions) => AsyncIterable<M["res"]>
  : never;

/**
 * What implements a service: one function a method, errors thrown as RuntimeFault. A method left
 * out answers UNIMPLEMENTED. Free of transport: src/rpc/grpc-server.ts puts it on a socket.
 */
export type ServiceImpl<S extends ServiceName> = {
  readonly [M in keyof Services[S]]?: HandlerOf<Services[S][M]>;
};

/** What calls a service, over gRPC or in process alike; errors arrive as RuntimeFault. */
export type ServiceClient<S extends ServiceName> = {
  readonly [M in keyof Services[S]]: CallOf<Services[S][M]>;
};
