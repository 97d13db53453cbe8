// SPDX-License-Identifier: Apache-2.0
import type { CallContext } from "../rpc/service.ts";
import type { Leases, Resource } from "./leases.ts";

/** The request header that names the lease under which a call works. */
const leaseHeader = "containerd-lease";

/**
 * Makes the caller's lease, if it works under one, hold a thing that it is about to make or has found
 * present. NOT_FOUND for an unknown lease.
 */
export async function holdForCaller(
  leases: Leases,
  namespace: string,
  call: CallContext,
  resource: Resource,
): Promise<void> {
  const lease = call.headers[leaseHeader];
  if (lease) await leases.add(namespace, lease, resource);
}
