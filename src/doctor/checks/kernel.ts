// SPDX-License-Identifier: Apache-2.0
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";

interface Wanted {
  /** As modprobe knows it. */
  readonly name: string;
  /** What builds it into a kernel. */
  readonly option: string;
  /** Where the kernel shows that it has it, loaded or built in. */
  readonly shownBy: readonly string[];
  readonly level: typeof error;
  readonly why: string;
}

const modules: readonly Wanted[] = [
  {
    name: "overlay",
    option: "CONFIG_OVERLAY_FS",
    shownBy: ["/sys/module/overlay"],
    level: error,
    why: "images' layers become root file systems by overlayfs: no container can be made",
  },
  {
    name: "br_netfilter",
    option: "CONFIG_BRIDGE_NETFILTER",
    shownBy: ["/sys/module/br_netfilter", "/proc/sys/net/bridge"],
    level: warning,
    why: "what pods of one bridge send each other passes by kube-proxy's rules, so that Services do not answer to them; kubeadm wants it too",
  },
  {
    name: "nf_conntrack",
    option: "CONFIG_NF_CONNTRACK",
    shownBy: ["/sys/module/nf_conntrack", "/proc/sys/net/netfilter/nf_conntrack_max"],
    level: warning,
    why: "kube-proxy and the CNI plugins' masquerading need it; it is loaded with their first rule where the kernel may load modules",
  },
];

/** Versions from which on the kernel can what pods may ask for. */
const since: readonly { readonly version: readonly [number, number]; readonly lacks: string }[] = [
  {
    version: [5, 12],
    lacks: "read-only mounts that are so recursively, and volumes of pods with user namespaces",
  },
  {
    version: [5, 19],
    lacks: "mapped layers: a pod with a user namespace gets a copy of its image",
  },
];
const oldest = [4, 18] as const;

export const kernel: Check = {
  name: "kernel",
  about: "the kernel's version and modules",
  run: async ({ host }) => {
    const release = (await host.value("/proc/sys/kernel/osrelease")) ?? "";
    const found: Finding[] = [...ofVersion(release)];
    const builtIn = await builtInModules(host, release);
    for (const wanted of modules) found.push(await ofModule(host, wanted, builtIn));
    found.push(...(await ofSeccomp(host)));
    return found;
  },
};

/** Filters of system calls, which the kernel shows by what they may do. */
async function ofSeccomp(host: Host): Promise<Finding[]> {
  if (await host.has("/proc/sys/kernel/seccomp/actions_avail")) return [];
  return [
    warning({
      what: "the kernel has no seccomp",
      why: "containers run without a filter of system calls, and those that ask for one, as `seccompProfile: RuntimeDefault` does, are refused",
      mend: "boot a kernel that has CONFIG_SECCOMP_FILTER=y",
    }),
  ];
}

function ofVersion(release: string): Finding[] {
  const [, major = "", minor = ""] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  const isBefore = ([wantedMajor, wantedMinor]: readonly [number, number]): boolean =>
    Number(major) < wantedMajor || (Number(major) === wantedMajor && Number(minor) < wantedMinor);
  if (major === "") return [];
  if (isBefore(oldest)) {
    const why = `overlayfs and the OCI runtimes of today expect ${oldest.join(".")} or newer`;
    return [error({ what: `kernel ${release} is too old`, why, mend: "install a newer kernel" })];
  }
  const lacks = since.filter(({ version }) => isBefore(version));
  if (lacks.length === 0) return [ok(`kernel ${release}`)];
  return lacks.map(({ version, lacks: what }) =>
    note({
      what: `kernel ${release} is older than ${version.join(".")}`,
      why: `it does not have ${what}`,
      mend: "install a newer kernel where pods ask for that",
    }),
  );
}

async function ofModule(
  host: Host,
  { name, option, shownBy, level, why }: Wanted,
  builtIn: ReadonlySet<string>,
): Promise<Finding> {
  if (builtIn.has(name)) return ok(`${name} is built in`);
  for (const place of shownBy) if (await host.has(place)) return ok(`${name} is there`);
  const loaded = await host.text("/proc/modules");
  if (loaded !== undefined && new RegExp(`^${name} `, "m").test(loaded))
    return ok(`${name} is loaded`);
  if (name === "overlay" && /\toverlay$/m.test((await host.text("/proc/filesystems")) ?? ""))
    return ok(`${name} is built in`);
  const mend =
    loaded === undefined
      ? `# this kernel loads no modules: boot one that has ${option}=y`
      : await mendOf(host, name, loaded);
  return level({ what: `the kernel has no ${name}`, why, mend });
}

/** Loads a module now, where that can be, and at each start. */
async function mendOf(host: Host, name: string, loaded: string): Promise<string> {
  const atStart = `echo ${name} >/etc/modules-load.d/berth-${name}.conf`;
  const anew = `${atStart} # and start the node anew when its pods may end:`;
  if ((await host.value("/proc/sys/kernel/modules_disabled")) === "1")
    return `${anew} kernel.modules_disabled is 1, and nothing is loaded until then`;
  if (await hasLostModules(host, loaded))
    return `${anew} the kernel that runs has no modules any more, another one was installed in its place`;
  return `modprobe ${name} && ${atStart}`;
}

/**
 * The kernel that runs has loaded modules, and now there are those of other kernels only. One that has none of its own, as a
 * small virtual machine's from outside, is the same after a restart.
 */
async function hasLostModules(host: Host, loaded: string): Promise<boolean> {
  const release = (await host.value("/proc/sys/kernel/osrelease")) ?? "";
  const kernels = await host.names("/lib/modules");
  const isFromOutside = /microsoft|wsl|firecracker/i.test(release);
  return loaded.trim() !== "" && !isFromOutside && kernels.length > 0 && !kernels.includes(release);
}

/** What needs no loading; none where the kernel's folder of modules is not there. */
async function builtInModules(host: Host, release: string): Promise<ReadonlySet<string>> {
  const text = (await host.text(`/lib/modules/${release}/modules.builtin`)) ?? "";
  const names = text.split("\n").map((line) => /([^/]+)\.ko$/.exec(line)?.[1] ?? "");
  return new Set(names.map((name) => name.replaceAll("-", "_")));
}
