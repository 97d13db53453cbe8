// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { IdMappings } from "../base/os/id-mapping.ts";
import type { AddressFamily } from "../base/os/tcp-socket.ts";

/** The user namespace that owns a network namespace is pinned beside it, under the same name with this suffix. */
export const userNamespaceSuffix = ".user";

/** Network namespaces pinned as files in a folder of our own. */
export interface NetworkNamespaces {
  /**
   * Makes a namespace with `lo` up, pins it, answers the path. The folder is `state/netns`. With an
   * owner it is made inside a user namespace of these ids: only who is in there may mount its sysfs
   * and set its sysctls.
   */
  create(id: string, call: Cancellable, owner?: IdMappings): Promise<string>;
  /** Unmounts and removes, with the user namespace that owns it; no error when it is gone. */
  remove(path: string, call: Cancellable): Promise<void>;
  /** True when the path holds a live namespace. */
  isAlive(path: string): Promise<boolean>;
  /** A TCP socket that lives in the namespace: not connected, non-blocking. The caller owns the descriptor. */
  openTcpSocket(path: string, family: AddressFamily, call: Cancellable): Promise<number>;
}

export interface PortMapping {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

export interface PodNetworkRequest {
  readonly sandboxId: string;
  readonly netnsPath: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly podUid: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly portMappings: readonly PortMapping[];
  readonly dns: {
    readonly servers: readonly string[];
    readonly searches: readonly string[];
    readonly options: readonly string[];
  };
  readonly cgroupPath: string;
}

export interface PodNetworkResult {
  /** The preferred address; "" never occurs. */
  readonly ip: string;
  readonly additionalIps: readonly string[];
  /** The CNI results as the plugins printed them, by network name; kept for DEL, CHECK and inspection. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** The pod network: CNI in production. */
export interface PodNetwork {
  /** For Status: whether a configuration is loaded and its plugins say they are ready, else why not. From memory. */
  status(): { readonly ready: boolean; readonly reason: string; readonly message: string };
  /** For verbose Status: the loaded configuration as CNI users know it. */
  describe(): unknown;
  /** ADD of every network. After a failure the caller must call `teardown`. */
  setup(request: PodNetworkRequest, call: Cancellable): Promise<PodNetworkResult>;
  /** DEL; idempotent; works with a vanished namespace (path ""). */
  teardown(request: PodNetworkRequest, call: Cancellable): Promise<void>;
  /**
   * Sandboxes that were set up, or half so, and not torn down. After a crash, those without a record
   * of their own hold addresses and ports that only `teardown` (it needs just the id) gives back.
   */
  attachedSandboxes(): Promise<readonly string[]>;
  /**
   * CHECK of every network that has it. Rejects with the fault that a plugin reports. A pod that was not set up, or
   * whose plugins do not know the verb, passes.
   */
  check(request: PodNetworkRequest, call: Cancellable): Promise<void>;
  /** The sandbox is removed although its teardown failed: what it holds is given back later, or by GC. */
  abandon(sandboxId: string): Promise<void>;
  /**
   * Begins, in the background, to give back what belongs to no sandbox: what was abandoned, and what plugins (CNI
   * 1.1) hold beyond the attachments on record and those of `holders`, the sandboxes that have a network.
   */
  startCollecting(holders: () => Iterable<string>): void;
}
