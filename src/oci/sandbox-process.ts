// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { scopeName } from "./scope-name.ts";

/** Mounts that a sandbox has for an OCI runtime's sake, or its containers': the process itself looks at none of them. */
const spareMounts = ["/proc", "/dev", "/dev/shm"];

const id = z.int().nonnegative();
const none = z.array(z.never());
const text = z.string().refine((value) => !value.includes("\0"), "has a zero byte");
const joined = ["network", "user"];
const otherPath = "a namespace has a path, and is none of the network or of users";

const namespace = z
  .strictObject({
    type: z.enum(["pid", "ipc", "uts", "mount", "network", "user"]),
    path: text.optional(),
  })
  .refine(
    ({ type, path }) => path === undefined || path === "" || joined.includes(type),
    otherPath,
  );

const mapping = z.looseObject({ containerID: id, hostID: id, size: id });

const capabilities = z.strictObject({
  bounding: none.optional(),
  effective: none.optional(),
  inheritable: none.optional(),
  permitted: none.optional(),
  ambient: none.optional(),
});

/** What is confined anyway, or of no use to a process that only waits, may stand there; it is left out here. */
const shape = z.strictObject({
  ociVersion: z.string(),
  process: z.strictObject({
    user: z.strictObject({ uid: id, gid: id, additionalGids: z.array(id).max(1024).optional() }),
    args: z.array(text).min(1),
    env: none.optional(),
    cwd: z.literal("/"),
    capabilities,
    noNewPrivileges: z.literal(true),
    apparmorProfile: text.optional(),
    selinuxLabel: text.optional(),
    oomScoreAdj: z.int().optional(),
  }),
  root: z.strictObject({ path: text.startsWith("/"), readonly: z.literal(true) }),
  hostname: text.optional(),
  mounts: z.array(
    z.looseObject({ destination: z.string().refine((place) => spareMounts.includes(place)) }),
  ),
  annotations: z.record(z.string(), z.string()).optional(),
  linux: z.strictObject({
    resources: z.strictObject({
      devices: z.array(z.looseObject({ allow: z.literal(false) })).optional(),
      cpu: z.strictObject({ shares: z.int().optional() }).optional(),
    }),
    namespaces: z.array(namespace),
    cgroupsPath: text.refine((place) => isPlainPath(place) || scopeName(place) !== undefined),
    maskedPaths: z.array(z.string()).optional(),
    readonlyPaths: z.array(z.string()).optional(),
    mountLabel: z.string().optional(),
    // The user namespace that is joined has them.
    uidMappings: z.array(mapping).optional(),
    gidMappings: z.array(mapping).optional(),
    sysctl: z.record(z.string().regex(/^[\w-]+(?:[./][\w-]+)+$/), text).optional(),
    seccomp: z.looseObject({}).optional(),
  }),
});

function isPlainPath(place: string): boolean {
  return /^(?:\/[^/:\n]+)+$/.test(place) && !/\/\.\.?(?:\/|$)/.test(place);
}

/** What of an OCI spec a sandbox process goes by. */
export type SandboxProcess = z.infer<typeof shape>;

/**
 * Reads a spec (parsed JSON) as that of a sandbox process, which is started without an OCI runtime. `why` tells what in
 * it only an OCI runtime can do: a user namespace that is to be made, hooks, further mounts, limits, capabilities.
 */
export function readSandboxProcess(
  spec: unknown,
): { readonly process: SandboxProcess } | { readonly why: string } {
  const read = shape.safeParse(spec);
  if (read.success) {
    const why = notItsOwn(read.data);
    return why === undefined ? { process: read.data } : { why };
  }
  const [issue] = read.error.issues;
  return {
    why: `${issue?.path.join(".") || "the spec"}: ${issue?.message ?? "is not understood"}`,
  };
}

/** What would change the node and not the pod, as runc finds it: such a spec is runc's to refuse. */
function notItsOwn({ hostname = "", linux }: SandboxProcess): string | undefined {
  const { namespaces, sysctl = {} } = linux;
  const own = new Set(namespaces.map(({ type }) => type));
  const made = namespaces.find(({ type, path = "" }) => joined.includes(type) && path === "");
  if (made !== undefined) return `linux.namespaces: a ${made.type} namespace is to be made`;
  for (const name of ["uidMappings", "gidMappings"] as const) {
    const hasRoot = linux[name]?.some(({ containerID, size }) => containerID === 0 && size > 0);
    if (own.has("user") && hasRoot !== true) return `linux.${name}: nobody is the pod's root`;
  }
  if (hostname !== "" && !own.has("uts")) return "hostname: there is no UTS namespace";
  const foreign = Object.keys(sysctl).find((name) => {
    const type = namespaceOf(name);
    return type === undefined || !own.has(type);
  });
  if (foreign !== undefined) return `linux.sysctl: ${foreign} is not of a namespace here`;
  // The kernel has them written by the namespace's root alone, whom the process never is.
  const ofIpc = Object.keys(sysctl).find((name) => own.has("user") && namespaceOf(name) === "ipc");
  return ofIpc === undefined ? undefined : `linux.sysctl: ${ofIpc} is a user namespace's root's`;
}

const ipcSysctl = /^(?:kernel\.(?:msg|shm)[a-z_]+|kernel\.sem|fs\.mqueue\..+)$/;

/** Names come with dots or with slashes; the first separator tells. */
function namespaceOf(name: string): "network" | "ipc" | "uts" | undefined {
  const plain = /^[^.]*\//.test(name) ? name.replaceAll("/", ".") : name;
  if (plain.startsWith("net.")) return "network";
  if (plain === "kernel.domainname") return "uts";
  return ipcSysctl.test(plain) ? "ipc" : undefined;
}
