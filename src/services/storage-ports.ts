// SPDX-License-Identifier: Apache-2.0
import type { ContentStore } from "../content/ports.ts";
import type { EventExchange } from "../events/ports.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import type { Leases } from "../metadata/leases.ts";

/** What every service that stores something works with. */
export interface StoragePorts {
  readonly leases: Leases;
  readonly garbage: GarbageCollector;
  readonly events: EventExchange;
}

/** What reading and writing blobs works with. */
export interface ContentServicePorts extends StoragePorts {
  readonly content: ContentStore;
}
