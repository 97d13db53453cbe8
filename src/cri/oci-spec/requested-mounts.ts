// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";
import { invalid, unsupported } from "../../base/invalid-field.ts";
import { type HoldingMounts, mountsHolding } from "../../base/os/mount-table.ts";
import type { Mount } from "../../gen/cri.gen.ts";
import type { OciMount } from "../../oci/spec.ts";
import { HostPaths } from "./host-paths.ts";
import { furtherOptions } from "./mount-options.ts";
import { type PropagationFlag, propagationFlag, propagationFlags } from "./mount-propagation.ts";
import type { RuntimeFeatures } from "./ports.ts";
import { toOciMapping } from "./user-namespace.ts";

export interface RequestedMounts {
  readonly mounts: readonly OciMount[];
  readonly propagation: readonly PropagationFlag[];
}

export interface MountContext {
  readonly features: RuntimeFeatures;
  readonly imageVolumePath?: ((mount: Mount) => Promise<string>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The host's mounts that hold some paths. Others only in tests. */
  readonly mountTable?: ((paths: readonly string[]) => Promise<HoldingMounts>) | undefined;
}

/** One for the process, as its threads are. */
const hostPaths = new HostPaths();

/** The request's mounts as bind mounts. A host path that is missing becomes a directory. */
export async function requestedMounts(
  requested: readonly Mount[],
  context: MountContext,
): Promise<RequestedMounts> {
  const { features, mountTable = mountsHolding } = context;
  const found = await findAll(requested, context);
  const propagating = found.filter(({ mount }) => mount.propagation !== "PROPAGATION_PRIVATE");
  // Once for all of them, and after an image volume has been mounted: the table may be long.
  const table = await mountTable(propagating.map(({ source }) => source));
  const mounts: OciMount[] = [];
  const propagation: PropagationFlag[] = [];
  for (const { mount, field, access, further, source } of found) {
    const flag = propagationFlag(mount.propagation, source, table, field);
    propagation.push(flag);
    mounts.push({
      destination: path.posix.resolve("/", mount.containerPath),
      type: "bind",
      source,
      options: ["rbind", flag, access, ...further],
      ...idMappings(mount, features, field),
    });
  }
  return { mounts, propagation };
}

interface FoundMount {
  readonly mount: Mount;
  /** What the request calls it. */
  readonly field: string;
  readonly access: string;
  /** Its mount_options. */
  readonly further: readonly string[];
  /** Where it is on the host. */
  readonly source: string;
}

async function findAll(
  requested: readonly Mount[],
  context: MountContext,
): Promise<readonly FoundMount[]> {
  const { mountTable = mountsHolding } = context;
  const onHost = requested.filter((mount) => !isImageVolume(mount)).map(({ hostPath }) => hostPath);
  const table = await mountTable(onHost);
  const found: FoundMount[] = [];
  for (const [index, mount] of requested.entries()) {
    const field = `mounts[${index}]`;
    if (mount.containerPath === "") throw invalid(`${field}.container_path`, "is empty");
    const access = accessOption(mount, context.features, field);
    const own = ["rbind", propagationFlags[mount.propagation], access];
    const further = furtherOptions(mount, own, context.features, field);
    const source = await sourceOf(mount, table, context, field);
    found.push({ mount, field, access, further, source });
  }
  return found;
}

async function sourceOf(
  mount: Mount,
  table: HoldingMounts,
  context: MountContext,
  field: string,
): Promise<string> {
  if (isImageVolume(mount)) {
    if (!mount.readonly) throw invalid(`${field}.readonly`, "an image volume must be read-only");
    if (context.imageVolumePath === undefined) {
      throw fault("UNIMPLEMENTED", `${field}.image: image volumes are not supported yet`);
    }
    return context.imageVolumePath(mount);
  }
  const { hostPath } = mount;
  if (hostPath === "") throw invalid(`${field}.host_path`, "is empty");
  if (!hostPath.startsWith("/")) {
    throw invalid(`${field}.host_path`, `"${hostPath}" is not an absolute path`);
  }
  try {
    const mountPoint = table.of(hostPath)?.mountPoint ?? "/";
    return await hostPaths.resolveOrMake(hostPath, { mountPoint, signal: context.signal });
  } catch (error) {
    context.signal?.throwIfAborted();
    const problem = errnoOf(error) ?? String(error);
    throw invalid(`${field}.host_path`, `cannot use "${hostPath}": ${problem}`, error);
  }
}

function isImageVolume({ image }: Mount): boolean {
  return image !== null && image.image !== "";
}

function accessOption(mount: Mount, features: RuntimeFeatures, field: string): string {
  if (!mount.recursiveReadOnly) return mount.readonly ? "ro" : "rw";
  const name = `${field}.recursive_read_only`;
  if (!mount.readonly) throw invalid(name, "needs readonly");
  if (mount.propagation !== "PROPAGATION_PRIVATE") {
    throw invalid(name, "needs private mount propagation");
  }
  if (!features.recursiveReadOnlyMounts) {
    throw unsupported(name, "the runtime handler cannot make recursive read-only mounts");
  }
  return "rro";
}

function idMappings(
  mount: Mount,
  features: RuntimeFeatures,
  field: string,
): Pick<OciMount, "uidMappings" | "gidMappings"> {
  // An image volume is read-only, and its files are to be seen as the image has them.
  if (isImageVolume(mount)) return {};
  const { uidMappings, gidMappings } = mount;
  if (uidMappings.length === 0 && gidMappings.length === 0) return {};
  if (!features.idmapMounts) {
    throw unsupported(`${field}.uid_mappings`, "the runtime handler cannot map ids of mounts");
  }
  return {
    uidMappings: uidMappings.map(toOciMapping),
    gidMappings: gidMappings.map(toOciMapping),
  };
}
