// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { fault } from "../base/errors.ts";
import { compileFilters, labelField } from "../base/filter.ts";
import { parseDigest } from "../content/digest.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import type { LeasesLeaseInit, LeasesResource } from "../gen/leases.gen.ts";
import type { Lease, Leases, Resource } from "../metadata/leases.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import { checkedLabels } from "./updated-labels.ts";

export interface LeasesServicePorts {
  readonly leases: Leases;
  readonly garbage: GarbageCollector;
}

/** How long a synchronous deletion waits for calls that hold off the garbage collection. */
const patienceMs = 10_000;

/** containerd's Leases service. */
export function createLeasesService({
  leases,
  garbage,
}: LeasesServicePorts): ServiceImpl<"containerd.services.leases.v1.Leases"> {
  return {
    Create: async ({ id, labels }, call) => {
      const namespace = requiredNamespace(call);
      const name = id === "" ? `${Date.now()}-${randomBytes(6).toString("base64url")}` : id;
      const kept = checkedLabels(`lease "${name}"`, labels);
      return { lease: leaseMessage(await leases.create(namespace, name, kept)) };
    },
    Delete: async ({ id, sync }, call) => {
      const namespace = requiredNamespace(call);
      await leases.delete(namespace, id);
      if (sync) await garbage.collect(namespace, { patienceMs, signal: call.signal });
      else garbage.schedule(namespace);
      return {};
    },
    List: async ({ filters }, call) => ({
      leases: leases
        .list(requiredNamespace(call))
        .filter(compileFilters(filters, leaseField))
        .map(leaseMessage),
    }),
    AddResource: async ({ id, resource }, call) => {
      const namespace = requiredNamespace(call);
      const wanted = checkedResource(resource);
      using _hold = await garbage.hold(namespace, call);
      await leases.add(namespace, id, wanted);
      return {};
    },
    DeleteResource: async ({ id, resource }, call) => {
      const namespace = requiredNamespace(call);
      await leases.remove(namespace, id, checkedResource(resource));
      garbage.schedule(namespace);
      return {};
    },
    ListResources: async ({ id }, call) => {
      const namespace = requiredNamespace(call);
      leases.require(namespace, id);
      return { resources: leases.resources(namespace, id) };
    },
  };
}

function leaseMessage({ id, createdAtNanos, labels }: Lease): LeasesLeaseInit {
  return { id, createdAt: timestampOf(createdAtNanos), labels };
}

function checkedResource(resource: LeasesResource | null): Resource {
  if (!resource?.id) throw fault("INVALID_ARGUMENT", "lease resource has no id");
  const { type, id } = resource;
  if (type === "content") parseDigest(id);
  else if (type !== "ingests" && type !== "images" && !/^snapshots\/.+$/.test(type)) {
    throw fault("UNIMPLEMENTED", `a lease cannot hold a resource of type "${type}"`);
  }
  return { type, id };
}

function leaseField(lease: Lease, path: readonly string[]): string | undefined {
  if (path[0] === "labels") return labelField(lease.labels, path);
  return path.length === 1 && path[0] === "id" ? lease.id : undefined;
}
