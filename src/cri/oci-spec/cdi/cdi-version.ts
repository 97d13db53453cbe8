// SPDX-License-Identifier: Apache-2.0
import type { CdiEdits, CdiSpec } from "./cdi-spec.ts";

/** All versions of the format that there are, and what came with them, the oldest first. */
const versions: readonly (readonly [string, (spec: CdiSpec) => boolean])[] = [
  ["0.1.0", () => false],
  ["0.2.0", () => false],
  ["0.3.0", () => true],
  ["0.4.0", (spec) => anyEdits(spec, ({ mounts }) => mounts?.some(({ type }) => type))],
  [
    "0.5.0",
    (spec) =>
      spec.devices.some(({ name }) => /^\d/.test(name)) ||
      anyEdits(spec, ({ deviceNodes }) => deviceNodes?.some(({ hostPath }) => hostPath)),
  ],
  [
    "0.6.0",
    ({ annotations, devices, kind }) =>
      [annotations, ...devices.map((device) => device.annotations)].some(
        (each) => Object.keys(each ?? {}).length > 0,
      ) || kind.slice(kind.indexOf("/")).includes("."),
  ],
  [
    "0.7.0",
    (spec) =>
      anyEdits(
        spec,
        ({ intelRdt, additionalGids }) => intelRdt !== undefined || additionalGids?.length,
      ),
  ],
  ["0.8.0", () => false],
  ["1.0.0", () => false],
  [
    "1.1.0",
    (spec) =>
      anyEdits(
        spec,
        ({ intelRdt, netDevices }) =>
          intelRdt?.schemata !== undefined || intelRdt?.enableMonitoring || netDevices?.length,
      ),
  ],
];

/** Throws an Error when the version is none, or older than what the file uses. */
export function checkCdiVersion(spec: CdiSpec): void {
  const stated = spec.cdiVersion.replace(/^v/, "");
  const at = versions.findIndex(([version]) => version === stated);
  if (at < 0) {
    throw new Error(
      `cdiVersion "${spec.cdiVersion}" is not known, of ${versions.map(([it]) => it).join(", ")}`,
    );
  }
  const needed = versions.findLastIndex(([, isUsed]) => isUsed(spec));
  // What names itself older than the oldest of which anybody knows the rules is held to those.
  if (needed > at) {
    throw new Error(`cdiVersion must be at least ${versions[needed]?.[0]}, which this file uses`);
  }
}

function anyEdits(
  { containerEdits, devices }: CdiSpec,
  isUsed: (edits: CdiEdits) => unknown,
): boolean {
  return [containerEdits, ...devices.map((device) => device.containerEdits)].some(
    (edits) => edits !== undefined && Boolean(isUsed(edits)),
  );
}
