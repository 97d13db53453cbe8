// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { codec, type MessageName, methodShapes } from "../rpc/codec.ts";
import type { CallContext, ServiceImpl, ServiceName } from "../rpc/service.ts";

/** One unary method: decoded request in, encoded response out. */
export type TtrpcHandler = (payload: Uint8Array, context: CallContext) => Promise<Buffer>;

/** What a peer may ask at once, and of what size: all of it is in our memory. */
export interface TtrpcLimits {
  /** Calls that a connection may have open; more are refused before they are looked at. */
  readonly openCalls: number;
  /** Fields of one request, those of nested messages too: two bytes become an object of a hundred. */
  readonly fields: number;
}

/** For shims, which are programs of ours. */
const shimLimits: TtrpcLimits = { openCalls: 4096, fields: Number.POSITIVE_INFINITY };

/** The services a ttrpc server offers. Unary methods only: shims need no more of a daemon. */
export class TtrpcRegistry {
  readonly limits: TtrpcLimits;
  readonly #services = new Map<string, Map<string, TtrpcHandler>>();

  constructor(limits = shimLimits) {
    this.limits = limits;
  }

  register<S extends ServiceName>(service: S, impl: ServiceImpl<S>): this {
    const handlers = new Map<string, TtrpcHandler>();
    const functions = impl as Readonly<Record<string, unknown>>;
    for (const method of methodShapes(service)) {
      const handle = functions[method.name];
      if (typeof handle !== "function") continue;
      const request = method.request as MessageName;
      const response = method.response as MessageName;
      handlers.set(method.name, async (payload, context) =>
        codec(response).encode(await handle.call(impl, this.#decode(request, payload), context)),
      );
    }
    this.#services.set(service, handlers);
    return this;
  }

  /** Throws UNIMPLEMENTED for what is not registered. */
  handler(service: string, method: string): TtrpcHandler {
    const handlers = this.#services.get(service);
    if (handlers === undefined) throw fault("UNIMPLEMENTED", `service ${service} is unknown`);
    const handler = handlers.get(method);
    if (handler === undefined)
      throw fault("UNIMPLEMENTED", `method ${service}/${method} is unknown`);
    return handler;
  }

  #decode(name: MessageName, payload: Uint8Array): unknown {
    const { fields } = this.limits;
    if (fields < payload.length && codec(name).countFields(payload, fields) > fields) {
      throw fault("RESOURCE_EXHAUSTED", `request has more than ${fields} fields`);
    }
    try {
      return codec(name).decode(payload);
    } catch (error) {
      throw fault("INVALID_ARGUMENT", `request is no ${name}`, { cause: error });
    }
  }
}
