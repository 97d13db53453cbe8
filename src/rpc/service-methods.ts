// SPDX-License-Identifier: Apache-2.0
import type protobuf from "protobufjs";
import { fault, type RuntimeFault } from "../base/errors.ts";
import { invalid } from "../base/invalid-field.ts";
import { type Codec, codec, type MessageName, rootOf } from "./codec.ts";
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
  return rootOf(service)
    .lookupService(service)
    .methodsArray.map((method) => {
      method.resolve();
      const request = method.resolvedRequestType?.fullName;
      const response = method.resolvedResponseType?.fullName;
      if (!request || !response) throw new TypeError(`unresolved method ${service}/${method.name}`);
      return {
        service,
        name: method.name,
        path: `/${service}/${method.name}`,
        kind: method.requestStream ? "bidi" : method.responseStream ? "serverStream" : "unary",
        request: anyCodec(request),
        response: anyCodec(response),
        refuseUnknown: refusalFor(service, method.resolvedRequestType),
      };
    });
}

/** Of CRI's requests: kubelets may be newer than their node's runtime. Other handlers look for themselves. */
function refusalFor(
  service: ServiceName,
  type: protobuf.Type | null,
): ServiceMethod["refuseUnknown"] {
  const find = type && service.startsWith("runtime.v1.") ? unknownEnumFinder(type) : undefined;
  if (!find) return () => {};
  return (request) => {
    const found = find(request as Readonly<Record<string, unknown>>);
    if (!found) return;
    throw invalid(found.field, `${found.value} is no ${found.enumName} that this version knows`);
  };
}

function anyCodec(fullName: string): Codec<unknown, unknown> {
  return codec(fullName.replace(/^\./, "") as MessageName) as Codec<unknown, unknown>;
}

/** The fault for a method that the service does not have, in the text that gRPC peers expect. */
export function unimplemented(service: string, method: string): RuntimeFault {
  return fault("UNIMPLEMENTED", `unknown method ${method} for service ${service}`);
}
