// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { duration } from "../kinds.ts";

export const timeouts = table({
  doc: "How long the daemon waits for others.",
  keys: {
    shimLoadMs: key({
      name: "shim_load",
      kind: duration,
      default: 5000,
      change: "restart",
      doc: "A shim to start, or to answer after a restart of the daemon.",
    }),
    shimCleanupMs: key({
      name: "shim_cleanup",
      kind: duration,
      default: 5000,
      change: "reload",
      doc: "Cleaning up after a dead shim.",
    }),
    shimShutdownMs: key({
      name: "shim_shutdown",
      kind: duration,
      default: 3000,
      change: "reload",
      doc: "A shim to exit once its last task is gone.",
    }),
    taskStateMs: key({
      name: "task_state",
      kind: duration,
      default: 2000,
      change: "reload",
      doc: "A shim to tell the state of a task.",
    }),
    cniMs: key({
      name: "cni",
      kind: duration,
      default: 180_000,
      change: "reload",
      doc: "One CNI operation in one network, all its plugins together. DEL has 55s at most and STATUS 10s, also where this is more.",
    }),
  },
});
