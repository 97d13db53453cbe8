// SPDX-License-Identifier: Apache-2.0
import type { NodePlugins } from "../../nri/ports.ts";

const nothing: Disposable = { [Symbol.dispose]: () => {} };

/** Where NRI is off. */
export const noPlugins: NodePlugins = {
  active: false,
  createContainer: async () => ({
    ...nothing,
    adjust: undefined,
    updates: [],
    owners: undefined,
  }),
  runPodSandbox: async () => nothing,
  updateContainer: async () => ({ resources: undefined, updates: [] }),
  updatePodSandbox: async () => {},
  stopContainer: async () => [],
  tell: async () => {},
  list: () => [],
  missing: () => [],
};
