// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { codec, type MessageName, rootOf } from "../rpc/codec.ts";
import type { CallContext, ServiceImpl, ServiceName } from "../rpc/service.ts";

/** One unary method: decoded request in, encoded response out. */
export type TtrpcHandler = (payload: Uint8Array, context: CallContext) => Promise<Buffer>;

/** The services a ttrpc server offers. Unary methods only: shims need no more of a daemon. */
export class TtrpcRegistry {
  readonly #services = new Map<string, Map<string, TtrpcHandler>>();

  register<S extends ServiceName>(service: S, impl: ServiceImpl<S>): this {
    const handlers = new Map<string, TtrpcHandler>();
    const functions = impl as Readonly<Record<string, unknown>>;
    for (const method of rootOf(service).lookupService(service).methodsArray) {
      const handle = functions[method.name];
      if (typeof handle !== "function") continue;
      const request = method.resolvedRequestType?.fullName.slice(1) as MessageName;
      const response = method.resolvedResponseType?.fullName.slice(1) as MessageName;
      handlers.set(method.name, async (payload, context) =>
        codec(response).encode(await handle.call(impl, decode(request, payload), context)),
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
}

function decode(name: MessageName, payload: Uint8Array): unknown {
  try {
    return codec(name).decode(payload);
  } catch (error) {
    throw fault("INVALID_ARGUMENT", `request is no ${name}`, { cause: error });
  }
}
