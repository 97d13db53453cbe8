// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { leavesOf, type SourceFile } from "./read-tree.ts";
import type { Entry } from "./rule.ts";

const newest = 4;
/** Plugins of the CRI, by their names in versions 1, 2, and 3 and later. */
const cri = new Set([
  "cri",
  "io.containerd.grpc.v1.cri",
  "io.containerd.cri.v1.runtime",
  "io.containerd.cri.v1.images",
]);
/** Where version 4 has what was at the top before. */
const servers: Readonly<Record<string, string>> = {
  "io.containerd.server.v1.grpc": "grpc",
  "io.containerd.server.v1.grpc-tcp": "grpc-tcp",
  "io.containerd.server.v1.ttrpc": "ttrpc",
  "io.containerd.server.v1.debug": "debug",
  "io.containerd.server.v1.metrics": "metrics",
  "io.containerd.metrics.v1.grpc-prometheus": "metrics",
  "io.containerd.nri.v1.nri": "nri",
};
/** What version 3 has elsewhere than version 2. */
const moved: Readonly<Record<string, string>> = {
  "cri/pinned_images/sandbox": "cri/sandbox_image",
  "cri/snapshotter": "cri/containerd/snapshotter",
  "cri/discard_unpacked_layers": "cri/containerd/discard_unpacked_layers",
  "cri/disable_snapshot_annotations": "cri/containerd/disable_snapshot_annotations",
};

/** Tables of containerd 1.x for one handler each, before there were tables by name. */
const deprecated = /^cri\/containerd\/(default_runtime|untrusted_workload_runtime)\//;

/** The keys of a file, under the names that they have in version 2 or nearly so, whatever version it is written in. */
export function containerdEntries({ file, document }: SourceFile): readonly Entry[] {
  const version = document["version"] ?? 1;
  if (typeof version !== "number" || ![1, 2, 3, newest].includes(version)) {
    const said = typeof version === "number" ? String(version) : "no number";
    throw fault(
      "INVALID_ARGUMENT",
      `${file}: its version is ${said}, and 1 to ${newest} are known`,
    );
  }
  return leavesOf(document).map(({ name, value }) => {
    const direct = canonical(name).join("/").replace(deprecated, "cri/containerd/runtimes/$1/");
    return { canonical: (moved[direct] ?? direct).split("/"), written: writtenAs(name), value };
  });
}

function canonical(name: readonly string[]): readonly string[] {
  const [top = "", plugin = "", ...rest] = name;
  if (top !== "plugins") return name.map(withoutSlash);
  if (cri.has(plugin)) return ["cri", ...rest.map(withoutSlash)];
  const server = servers[plugin];
  if (server !== undefined) return [server, ...rest.map(withoutSlash)];
  return ["plugins", plugin, ...rest.map(withoutSlash)];
}

/** Names are joined by slashes here; those with one in them are no more than names of registries. */
function withoutSlash(part: string): string {
  return part.replaceAll("/", "\u2215");
}

/** As a person would look for it in the file. */
export function writtenAs(name: readonly string[]): string {
  return name.map((part) => (/^[\w-]+$/.test(part) ? part : `"${part}"`)).join(".");
}
