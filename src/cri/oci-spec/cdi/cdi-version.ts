// SPDX-License-Identifier: Apache-2.0
import { shortened } from "../../../base/shortened.ts";
import type { CdiEdits, CdiSpec } from "./cdi-spec.ts";

/** A field that a file uses and that came with a version, as errors name it; undefined when it does not. */
type Use = (spec: CdiSpec) => string | undefined;

const nothing: Use = () => undefined;

/** All versions of the format that there are, and what came with them, the oldest first. */
const versions: readonly (readonly [string, Use])[] = [
  ["0.1.0", nothing],
  ["0.2.0", nothing],
  // The oldest of which anybody knows the rules: what names itself older is held to those.
  ["0.3.0", () => "what every file holds"],
  [
    "0.4.0",
    inEdits({ "mounts.type": ({ mounts }) => mounts?.some(({ type }) => type !== undefined) }),
  ],
  [
    "0.5.0",
    (spec) =>
      deviceWith(spec, "a name that begins with a digit", ({ name }) => /^\d/.test(name)) ??
      inEdits({
        "deviceNodes.hostPath": ({ deviceNodes }) =>
          deviceNodes?.some(({ hostPath }) => hostPath !== undefined),
      })(spec),
  ],
  [
    "0.6.0",
    (spec) =>
      (Object.keys(spec.annotations ?? {}).length > 0 ? "annotations" : undefined) ??
      deviceWith(spec, "annotations", (it) => Object.keys(it.annotations ?? {}).length > 0) ??
      (spec.kind.slice(spec.kind.indexOf("/")).includes(".") ? "a class with a dot" : undefined),
  ],
  [
    "0.7.0",
    inEdits({
      intelRdt: ({ intelRdt }) => intelRdt !== undefined,
      additionalGids: ({ additionalGids = [] }) => additionalGids.length > 0,
    }),
  ],
  ["0.8.0", nothing],
  ["1.0.0", nothing],
  [
    "1.1.0",
    inEdits({
      // An empty list of schemata counts, an empty one of interfaces does not.
      "intelRdt.schemata": ({ intelRdt }) => intelRdt?.schemata !== undefined,
      "intelRdt.enableMonitoring": ({ intelRdt }) => intelRdt?.enableMonitoring,
      netDevices: ({ netDevices = [] }) => netDevices.length > 0,
    }),
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
  for (const [needed, use] of versions.slice(at + 1).reverse()) {
    const used = use(spec);
    if (used === undefined) continue;
    throw new Error(`cdiVersion must be at least ${needed}, not ${spec.cdiVersion}, for ${used}`);
  }
}

function inEdits(fields: Record<string, (edits: CdiEdits) => boolean | undefined>): Use {
  return (spec) => {
    for (const [field, isUsed] of Object.entries(fields)) {
      if (spec.containerEdits !== undefined && isUsed(spec.containerEdits) === true) return field;
      const used = deviceWith(spec, field, (it) => isUsed(it.containerEdits) === true);
      if (used !== undefined) return used;
    }
    return undefined;
  };
}

function deviceWith(
  { devices }: CdiSpec,
  field: string,
  isUsed: (device: CdiSpec["devices"][number]) => boolean,
): string | undefined {
  const device = devices.find(isUsed);
  return device === undefined ? undefined : `${field} of device "${shortened(device.name, 60)}"`;
}
