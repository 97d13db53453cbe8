// SPDX-License-Identifier: Apache-2.0
// Gives containers environment variables and bind mounts that annotations of their pod ask for:
//
//   inject.berth/env.HTTP_PROXY: http://10.0.0.1:3128
//   inject.berth/mount.models: /srv/models:/models        (read-only; with :rw at its end, writable)
//
// A variable that the container has already stays as it is. Mounts come only from below the folders
// that the settings list, so that a pod cannot ask for any file of the node:
//
//   [plugins.config.inject-env]
//   mount_roots = ["/srv"]
import { realpathSync } from "node:fs";

const envPrefix = "inject.berth/env.";
const mountPrefix = "inject.berth/mount.";

/** @type {readonly string[]} */
let roots = [];

/** @type {import("../../src/plugin/operator/api.ts").OperatorPlugin} */
export const plugin = {
  apiVersion: 1,

  init({ settings }) {
    const given = settings.mount_roots ?? [];
    if (!Array.isArray(given)) throw new TypeError("mount_roots is no list");
    roots = given.map((root) => realpathSync(root));
  },

  onContainerCreate({ sandbox, spec }) {
    const asked = Object.entries(sandbox.config.annotations).filter(
      ([key]) => key.startsWith(envPrefix) || key.startsWith(mountPrefix),
    );
    if (asked.length === 0) return;
    const present = new Set(spec.process.env.map((line) => line.slice(0, line.indexOf("="))));
    for (const [key, value] of asked) {
      if (key.startsWith(envPrefix)) {
        const name = key.slice(envPrefix.length);
        if (!present.has(name)) spec.process.env.push(`${name}=${value}`);
        continue;
      }
      const mount = readMount(value);
      if (typeof mount === "string") return { veto: `annotation ${key}: ${mount}` };
      spec.mounts.push(mount);
    }
    return { spec };
  },
};

/** The mount, or what is wrong with it. */
function readMount(/** @type {string} */ text) {
  const [from = "", destination = "", mode = "ro", ...more] = text.split(":");
  if (!destination.startsWith("/") || more.length > 0 || !["ro", "rw"].includes(mode)) {
    return `"${text}" is not HOST:CONTAINER or HOST:CONTAINER:rw`;
  }
  let source;
  try {
    source = realpathSync(from); // a link must not lead out of the roots
  } catch {
    return `${from} does not exist on the node`;
  }
  if (!roots.some((root) => source === root || source.startsWith(`${root}/`))) {
    return `${from} is not below a folder that the operator allows`;
  }
  return { destination, source, type: "bind", options: ["rbind", mode] };
}
