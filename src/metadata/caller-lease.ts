// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../base/errors.ts";
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

/**
 * The same for a thing that a caller only looked up, and that it may build on next. A caller whose lease
 * is gone may still look.
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

/** Lets the caller's lease go of a thing that it has deleted. */
export async function releaseForCaller(
  leases: Leases,
  namespace: string,
  call: CallContext,
  resource: Resource,
): Promise<void> {
  const lease = call.headers[leaseHeader];
  if (lease && leases.has(namespace, lease)) await leases.remove(namespace, lease, resource);
}
