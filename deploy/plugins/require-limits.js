// SPDX-License-Identifier: Apache-2.0
// Refuses containers without a memory limit, in the namespaces that the settings name.
//
//   [plugins.config.require-limits]
//   namespaces = ["prod", "stage"]   # which Kubernetes namespaces; left out: all of them
//   max_bytes = 8589934592           # and no limit above this one; left out: any limit will do

/** @type {ReadonlySet<string> | undefined} */
let namespaces;
let maxBytes = 0n;

/** @type {import("../../src/plugin/operator/api.ts").OperatorPlugin} */
export const plugin = {
  apiVersion: 1,

  init({ settings }) {
    if (settings.namespaces !== undefined) {
      if (!Array.isArray(settings.namespaces)) throw new TypeError("namespaces is no list");
      namespaces = new Set(settings.namespaces);
    }
    maxBytes = BigInt(Number(settings.max_bytes ?? 0));
  },

  onContainerCreate({ sandbox, config }) {
    const namespace = sandbox.config.metadata?.namespace ?? "";
    if (namespaces && !namespaces.has(namespace)) return;
    const limit = config.linux?.resources?.memoryLimitInBytes ?? 0n;
    if (limit <= 0n) return { veto: `namespace ${namespace} wants a memory limit on every container` };
    if (maxBytes > 0n && limit > maxBytes) {
      return { veto: `its memory limit of ${limit} bytes is above ${maxBytes}` };
    }
  },
};
