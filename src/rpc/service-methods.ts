// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../base/errors.ts";
import { invalid } from "../base/invalid-field.ts";
import { type Codec, codec, type MessageName, messageType, methodShapes } from "./codec.ts";
import type { ServiceName } from "./service.ts";
import { unknownEnumFinder } from "./unknown-enum.ts";

/** One method of a service as the descriptors have it: enough to serve or call it over any transport. */
export interface ServiceMethod {
  readonly service: ServiceName;
  readonly name: string;
  /** `/service/Method`. */
  readonly path: string;
  readonly kind: "unary" | "serverStream" | "bidi";
  readonly request: Codec<unknown, unknown>;
  readonly response: Codec<unknown, unknown>;
  /** INVALID_ARGUMENT, naming the field, for a request with an enum's value that this version does not know. */
  refuseUnknown(request: unknown): void;
}

const known = new Map<ServiceName, readonly ServiceMethod[]>();

/** The methods of a service, in the order of its .proto file. */
export function methodsOf(service: ServiceName): readonly ServiceMethod[] {
  let methods = known.get(service);
  if (!methods) {
    methods = reflect(service);
    known.set(service, methods);
  }
  return methods;
}

function reflect(service: ServiceName): readonly ServiceMethod[] {
  return methodShapes(service).map(
    ({ name, request, response, requestStream, responseStream }) => ({
      service,
      name,
      path: `/${service}/${name}`,
      kind: requestStream ? "bidi" : responseStream ? "serverStream" : "unary",
      request: codecWhenUsed(request),
      response: codecWhenUsed(response),
      refuseUnknown: refusalFor(service, request),
    }),
  );
}

/** Of CRI's requests: kubelets may be newer than their node's runtime. Other handlers look for themselves. */
function refusalFor(service: ServiceName, request: string): ServiceMethod["refuseUnknown"] {
  if (!service.startsWith("runtime.v1.")) return () => {};
  let find: ReturnType<typeof unknownEnumFinder> | null;
  return (value) => {
    if (find === undefined) {
      const type = messageType(request);
      find = (type && unknownEnumFinder(type)) ?? null;
    }
    const found = find?.(value as Readonly<Record<string, unknown>>);
    if (!found) return;
    throw invalid(found.field, `${found.value} is no ${found.enumName} that this version knows`);
  };
}

/** Made by the first message: most of a daemon's methods are never called. */
function codecWhenUsed(name: string): Codec<unknown, unknown> {
  const made = (): Codec<unknown, unknown> => codec(name as MessageName) as Codec<unknown, unknown>;
  return {
    encode: (value) => made().encode(value),
    decode: (bytes) => made().decode(bytes),
    countFields: (bytes, most) => made().countFields(bytes, most),
    normalize: (value) => made().normalize(value),
  };
}

/** The fault for a method that the service does not have, in the text that gRPC peers expect. */
export function unimplemented(service: string, method: string): RuntimeFault {
  return fault("UNIMPLEMENTED", `unknown method ${method} for service ${service}`);
}
