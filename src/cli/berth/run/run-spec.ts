// SPDX-License-Identifier: Apache-2.0

import { readFile } from "node:fs/promises";
import type { Cancellable } from "../../../base/cancellable.ts";
import { fault } from "../../../base/errors.ts";
import { parseSize } from "../../../config/quantity.ts";
import type { ImageConfig } from "../../../images/ports.ts";
import { startingSpec } from "../../../oci/base-spec.ts";
import { boundingCapabilities, capabilitySets } from "../../../oci/capabilities.ts";
import { cgroupMount } from "../../../oci/default-mounts.ts";
import { defaultMaskedPaths, defaultReadonlyPaths } from "../../../oci/masked-paths.ts";
import type { RootfsReader } from "../../../oci/rootfs/ports.ts";
import type { OciMount, OciNamespace, OciProcess, OciSpec } from "../../../oci/spec.ts";
import { resolveUser } from "../../../oci/user.ts";
import { usageFault } from "../../usage-fault.ts";

/** What the flags of `berth run` and `berth container create` say about the container. */
export interface SpecFlags {
  readonly tty: boolean;
  readonly env: readonly string[];
  readonly cwd?: string;
  readonly user?: string;
  readonly hostname?: string;
  readonly netHost: boolean;
  readonly mount: readonly string[];
  readonly memory?: string;
  readonly readOnly: boolean;
  readonly privileged: boolean;
}

export interface SpecInput extends Cancellable {
  readonly id: string;
  readonly namespace: string;
  readonly image: ImageConfig;
  /** Empty for the image's own. */
  readonly args: readonly string[];
  readonly flags: SpecFlags;
  readonly rootfs: RootfsReader;
  /** Size of the terminal that it is shown on. */
  readonly consoleSize?: OciProcess["consoleSize"];
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The OCI spec of a container outside of pods. INVALID_ARGUMENT names the flag that is wrong. */
export async function runSpec(input: SpecInput): Promise<OciSpec> {
  const { id, namespace, image, flags, rootfs } = input;
  const spec = await startingSpec("");
  const user = await resolveUser(null, flags.user ?? image.user, rootfs, input);
  spec.process = {
    ...spec.process,
    terminal: flags.tty,
    ...(flags.tty && input.consoleSize && { consoleSize: input.consoleSize }),
    args: argsOf(input),
    env: mergedEnv(image.env, [...(flags.tty ? ["TERM=xterm"] : []), ...flags.env]),
    cwd: flags.cwd ?? (image.workingDir || "/"),
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.supplementalGroups] },
  };
  spec.root = { path: "rootfs", readonly: flags.readOnly };
  spec.hostname = flags.hostname ?? id.slice(0, 63);
  spec.mounts.push(cgroupMount(flags.privileged), ...flags.mount.map(readMount));
  spec.linux.namespaces = namespacesFor(flags);
  spec.linux.cgroupsPath = `/${namespace}/${id}`;
  if (flags.memory !== undefined) {
    spec.linux.resources = { ...spec.linux.resources, memory: { limit: readMemory(flags.memory) } };
  }
  if (flags.netHost) spec.mounts.push(...["/etc/hosts", "/etc/resolv.conf"].map(hostFile));
  if (flags.privileged) openUp(spec, await ownCapabilities());
  else {
    spec.linux.maskedPaths = [...defaultMaskedPaths];
    spec.linux.readonlyPaths = [...defaultReadonlyPaths];
  }
  return spec;
}

function argsOf({ image, args, id }: SpecInput): string[] {
  const full = [...image.entrypoint, ...(args.length > 0 ? args : image.cmd)];
  if (full.length > 0) return full;
  throw fault("INVALID_ARGUMENT", `container "${id}" needs a command: its image names none`);
}

/** The later one of two variables wins and takes the earlier one's place. */
function mergedEnv(image: readonly string[], own: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const line of [defaultPath, ...image, ...own]) {
    const at = line.indexOf("=");
    if (at < 1) throw usageFault(`bad --env "${line}": expected name=value`);
    merged.set(line.slice(0, at), line);
  }
  return [...merged.values()];
}

function namespacesFor({ netHost }: SpecFlags): OciNamespace[] {
  const types = ["pid", "ipc", "uts", "mount"] as const;
  const namespaces: OciNamespace[] = types.map((type) => ({ type }));
  return netHost ? namespaces : [...namespaces, { type: "network" }];
}

/** `src=/host,dst=/container[,ro][,type=tmpfs]`, or `/host:/container[:ro]`. */
function readMount(text: string): OciMount {
  const wrong = (why: string): Error => usageFault(`bad --mount "${text}": ${why}`);
  if (!text.includes("=")) {
    const [source = "", destination = "", access = "rw", ...more] = text.split(":");
    if (!source.startsWith("/") || !destination.startsWith("/") || more.length > 0) {
      throw wrong("expected /host:/container or /host:/container:ro");
    }
    if (access !== "ro" && access !== "rw") throw wrong('the last part must be "ro" or "rw"');
    return { type: "bind", source, destination, options: ["rbind", access] };
  }
  const fields = new Map<string, string>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    fields.set(at < 0 ? part : part.slice(0, at), at < 0 ? "" : part.slice(at + 1));
  }
  const type = fields.get("type") ?? "bind";
  const source = fields.get("src") ?? fields.get("source") ?? (type === "bind" ? "" : type);
  const destination = fields.get("dst") ?? fields.get("target") ?? "";
  if (!destination.startsWith("/")) throw wrong("dst= must be an absolute path");
  if (type === "bind" && !source.startsWith("/")) throw wrong("src= must be an absolute path");
  const options = type === "bind" ? ["rbind"] : [];
  return { type, source, destination, options: [...options, fields.has("ro") ? "ro" : "rw"] };
}

function hostFile(file: string): OciMount {
  return { type: "bind", source: file, destination: file, options: ["rbind", "ro"] };
}

function readMemory(text: string): number {
  const limit = parseSize(text);
  if (limit !== undefined && limit > 0) return limit;
  throw usageFault(`bad --memory "${text}": expected a size such as 64MiB`);
}

/** A runtime gives no more than it has itself. */
async function ownCapabilities(): Promise<readonly string[]> {
  const [status, lastCap] = await Promise.all([
    readFile("/proc/self/status", "utf8"),
    readFile("/proc/sys/kernel/cap_last_cap", "utf8").catch(() => ""),
  ]);
  return boundingCapabilities(status, lastCap);
}

function openUp(spec: OciSpec, capabilities: readonly string[]): void {
  spec.process.capabilities = capabilitySets(capabilities);
  spec.linux.resources = {
    ...spec.linux.resources,
    devices: [{ allow: true, access: "rwm" }],
  };
  for (const mount of spec.mounts) {
    if (mount.type !== "sysfs" && mount.type !== "cgroup") continue;
    mount.options = (mount.options ?? []).map((option) => (option === "ro" ? "rw" : option));
  }
}
