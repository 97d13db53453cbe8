// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { CallOptions, ServiceClient } from "../rpc/service.ts";

/** The services a client stands on, in process or over gRPC. */
export interface ClientServices {
  readonly containers: ServiceClient<"containerd.services.containers.v1.Containers">;
  readonly tasks: ServiceClient<"containerd.services.tasks.v1.Tasks">;
  /** Needed for containers whose own snapshot becomes the task's root. */
  readonly snapshots?: ServiceClient<"containerd.services.snapshots.v1.Snapshots">;
}

/** What containers, tasks and processes share of their client. */
export interface ClientScope {
  readonly namespace: string;
  readonly services: ClientServices;
  readonly inProcess: boolean;
  /** The call options of a request: its signal, and the client's namespace. */
  readonly on: (call: Cancellable) => CallOptions;
}
