// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildBerth } from "../../../src/cli/berth-program.ts";
import { runProgram } from "../../../src/cli/run-program.ts";
import type { Finding } from "../../../src/doctor/finding.ts";
import { run } from "../run.ts";
import { scratch } from "../scratch.ts";

/** Findings as `berth doctor --json` prints them. */
export type Told = Finding & { readonly check: string };

/** The files of a node, in a folder, as `berth doctor --host` looks at them. */
export interface MadeNode extends AsyncDisposable {
  readonly root: string;
  /** Writes a file of the node, with its folders. */
  readonly write: (file: string, text: string, mode?: number) => Promise<void>;
  /** What the doctor finds, and its exit status. */
  readonly examine: (
    ...flags: readonly string[]
  ) => Promise<{ findings: readonly Told[]; status: number }>;
  /** Runs what a finding says, as root of the node would; programs that change the kernel change its files here. */
  readonly mend: (command: string) => Promise<void>;
}

const conflist = {
  cniVersion: "1.0.0",
  name: "pods",
  plugins: [{ type: "bridge", ipam: { type: "host-local" } }, { type: "portmap" }],
};

const kubelet = `kind: KubeletConfiguration
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/berthd/berthd.sock
failCgroupV1: false
`;

/** What programs of a healthy node print. */
const cniPlugin = `#!/bin/sh
echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}'
`;
const shim = `#!/bin/sh
echo '  Version:  2.3.4'
`;
const runc = `#!/bin/sh
echo 'runc version 1.5.0'
`;

/** A node on which nothing is wrong but that no daemon runs: a fake of one answers for it nowhere. */
export async function makeNode(): Promise<MadeNode> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "doc" }));
  const root = home.path;
  const write = async (file: string, text: string, mode = 0o644): Promise<void> => {
    const place = path.join(root, file);
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, text);
    await chmod(place, mode);
  };
  for (const [name, value] of Object.entries(kernelSettings)) {
    await write(`/proc/sys/${name.replaceAll(".", "/")}`, `${value}\n`);
  }
  await write("/proc/sys/kernel/osrelease", "6.12.1\n");
  await write("/proc/sys/kernel/hostname", "node-1\n");
  await write("/proc/sys/kernel/seccomp/actions_avail", "kill_process errno allow\n");
  await write("/proc/key-users", "    0:   118 117/117 112/1000000 7367/25000000\n");
  await write("/proc/uptime", "5000.00 9000.00\n");
  await write("/proc/loadavg", "0.10 0.20 0.30 1/299 1234\n");
  await write("/etc/resolv.conf", "nameserver 192.0.2.1\n");
  await write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  await write("/usr/sbin/iptables", "#!/bin/sh\n", 0o755);
  await write("/proc/modules", "overlay 1 0 - Live 0x0\nbr_netfilter 1 0 - Live 0x0\n");
  await mkdir(path.join(root, "proc/self/ns"), { recursive: true });
  await symlink("pid:[1]", path.join(root, "proc/self/ns/pid"));
  await write("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
  await write("/etc/cni/net.d/10-pods.conflist", JSON.stringify(conflist));
  for (const plugin of ["bridge", "host-local", "portmap"])
    await write(`/opt/cni/bin/${plugin}`, cniPlugin, 0o755);
  await write("/usr/bin/containerd-shim-runc-v2", shim, 0o755);
  await write("/usr/bin/runc", runc, 0o755);
  await write("/var/lib/kubelet/config.yaml", kubelet);
  await write("/etc/berthd/config.toml", "");
  for (const folder of ["var/lib/berthd", "run/berthd", "run/systemd/system", "var/log/pods"])
    await mkdir(path.join(root, folder), { recursive: true });
  await runningKubelet(write, root, 37);
  await runningProcess(write, root, 70, "chronyd");
  const held = undo.move();
  return {
    root,
    write,
    examine: (...flags) => examine(root, flags),
    mend: (command) => mend(root, command),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

const kernelSettings: Readonly<Record<string, number>> = {
  "net.ipv4.ip_forward": 1,
  "net.bridge.bridge-nf-call-iptables": 1,
  "net.netfilter.nf_conntrack_max": 262_144,
  "net.netfilter.nf_conntrack_count": 10,
  "fs.inotify.max_user_instances": 8192,
  "fs.inotify.max_user_watches": 524_288,
  "kernel.keys.root_maxkeys": 1_000_000,
  "kernel.pid_max": 4_194_304,
  "kernel.threads-max": 100_000,
  "user.max_user_namespaces": 10_000,
  "user.max_net_namespaces": 10_000,
  "net.ipv4.neigh.default.gc_thresh3": 1024,
  "fs.file-max": 100_000,
  "vm.overcommit_memory": 0,
};

type Write = MadeNode["write"];

export const kubeletPid = 77;

/** A process that is called kubelet, of that minor version, with further flags. */
export async function runningKubelet(
  write: Write,
  root: string,
  minor: number,
  ...flags: readonly string[]
): Promise<void> {
  const argv = ["/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml", ...flags];
  await write(`/proc/${kubeletPid}/comm`, "kubelet\n");
  await write(`/proc/${kubeletPid}/cmdline`, `${argv.join("\0")}\0`);
  await write("/usr/bin/kubelet", `#!/bin/sh\necho Kubernetes v1.${minor}.2\n`, 0o755);
  const exe = path.join(root, `proc/${kubeletPid}/exe`);
  await symlink(path.join(root, "usr/bin/kubelet"), exe).catch(() => {}); // it is there
  await runningProcess(write, root, kubeletPid, "kubelet");
}

/** A process of the node by that name. */
export async function runningProcess(
  write: Write,
  root: string,
  pid: number,
  name: string,
): Promise<void> {
  await write(`/proc/${pid}/comm`, `${name}\n`);
  const namespaces = path.join(root, `proc/${pid}/ns`);
  await mkdir(namespaces, { recursive: true });
  await symlink("pid:[1]", path.join(namespaces, "pid")).catch(() => {}); // it is there
}

async function examine(root: string, flags: readonly string[]) {
  let out = "";
  let errors = "";
  const io = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (errors += text),
    env: {},
  };
  const argv = ["doctor", "--host", root, "--json", ...flags];
  const status = await runProgram(buildBerth(io), argv, io);
  if (errors !== "") throw new Error(errors);
  const { findings } = JSON.parse(out) as { findings: readonly Told[] };
  return { findings, status };
}

/** What a node's own programs would do, done to its files. */
const programs: Readonly<Record<string, string>> = {
  sysctl: 'echo "${2#*=}" >"$ROOT/proc/sys/$(echo "${2%%=*}" | tr . /)"',
  modprobe: 'echo "$1 1 0 - Live 0x0" >>"$ROOT/proc/modules"',
  systemctl: `echo "$*" >>"$ROOT/systemctl.log"
[ "$1" != enable ] || ln -s /dev/null "$ROOT/etc/systemd/system/multi-user.target.wants/$2.service"`,
  hostnamectl: 'echo "$2" >"$ROOT/proc/sys/kernel/hostname"',
  swapoff: 'echo >"$ROOT/proc/swaps"',
  berthd: "true",
  "apt-get": "true",
  journalctl: "true",
  mount: "true",
};

async function mend(root: string, command: string): Promise<void> {
  const bin = path.join(root, "stubs");
  await mkdir(bin, { recursive: true });
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(path.join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  for (const folder of ["etc/modules-load.d", "etc/sysctl.d"])
    await mkdir(path.join(root, folder), { recursive: true });
  // The node's paths lie below the folder, whose name has a space.
  const here = command.replaceAll(
    /(?<=[\s'>=]|^)(\/(?:etc|opt|usr|var|run|sys)\/[^\s';]*)/g,
    (file, _m, at: number) => (command[at - 1] === "'" ? `${root}${file}` : `'${root}${file}'`),
  );
  const { code, stderr } = await run("sh", ["-c", here], {
    env: { PATH: `${bin}:${process.env["PATH"] ?? ""}`, ROOT: root },
  });
  if (code !== 0) throw new Error(`${here}: ${stderr}`);
}
