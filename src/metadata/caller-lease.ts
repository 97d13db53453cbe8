// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../base/errors.ts";
import type { CallContext } from "../rpc/service.ts";
import type { Leases, Resource } from "./leases.ts";

/** The request header that names the lease under which a call works. */
const leaseHeader = "containerd-lease";

/**
 * Adds a resource to the caller's lease, if the call has one: it is about to be made, or was found present. NOT_FOUND
 * for an unknown lease.
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

/**
 * The same for a resource that a caller only looked up, and that it may build on next. No error when the lease is
 * gone: looking up needs none.
 */
export async function holdFoundForCaller(
  leases: Leases,
  namespace: string,
  call: CallContext,
  resource: Resource,
): Promise<void> {
  try {
    await holdForCaller(leases, namespace, call, resource);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
  }
}

/** Removes a resource that the caller has deleted from the caller's lease. */
export async function releaseForCaller(
  leases: Leases,
  namespace: string,
  call: CallContext,
  resource: Resource,
): Promise<void> {
  const lease = call.headers[leaseHeader];
  if (lease && leases.has(namespace, lease)) await leases.remove(namespace, lease, resource);
}
