// SPDX-License-Identifier: Apache-2.0
import type { EventExchange } from "../events/ports.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import type { Leases, Resource } from "../metadata/leases.ts";
import type { CallContext } from "../rpc/service.ts";

/** What every service that stores something works with. */
export interface StoragePorts {
  readonly leases: Leases;
  readonly garbage: GarbageCollector;
  readonly events: EventExchange;
}

/** The request header that names the lease under which a call works. */
const leaseHeader = "containerd-lease";

/** Makes the caller's lease, if it works under one, hold a thing. NOT_FOUND for an unknown lease. */
export async function holdForCaller(
  leases: Leases,
  namespace: string,
  call: CallContext,
  resource: Resource,
): Promise<void> {
  const lease = call.headers[leaseHeader];
  if (lease) await leases.add(namespace, lease, resource);
}
