// SPDX-License-Identifier: Apache-2.0
import { mkdir, stat, symlink } from "node:fs/promises";
import path from "node:path";
import { endedCertificate } from "./ended-certificate.ts";
import { type MadeNode, runningProcess } from "./made-node.ts";
import { kubeletYaml, type Sickness } from "./sickness.ts";

const unit = "/etc/systemd/system/berthd.service";
const dropIn = "/etc/systemd/system/berthd.service.d/10-hardening.conf";
const asDeployed =
  "[Service]\nExecStart=/usr/bin/berthd serve\nKillMode=process\nTasksMax=infinity\n";
const manifests = "/etc/kubernetes/manifests";
const kubeletWith = (text: string): string =>
  `kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/berthd/berthd.sock\nfailCgroupV1: false\n${text}`;
const staticPod = (name: string): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: kube-system}\nspec: {containers: [{name: a, image: b}]}\n`;

function hardened(...lines: readonly string[]): Sickness["make"] {
  return async ({ write }) => {
    await write(unit, asDeployed);
    await write(dropIn, `[Service]\n${lines.join("\n")}\n`);
  };
}

async function enabled({ root, write }: MadeNode, ...services: readonly string[]): Promise<void> {
  await write(unit, asDeployed);
  const wants = path.join(root, "etc/systemd/system/multi-user.target.wants");
  await mkdir(wants, { recursive: true });
  for (const one of services) await symlink(`/lib/systemd/system/${one}`, path.join(wants, one));
}

/** A berthd that has its database open, and may have so many files open. */
async function running({ root, write }: MadeNode, files: number): Promise<void> {
  const database = path.join(root, "var/lib/berthd/meta.db");
  await write("/var/lib/berthd/meta.db", "");
  const { ino } = await stat(database);
  await runningProcess(write, root, 88, "node");
  await mkdir(path.join(root, "proc/88/fd"));
  await symlink(database, path.join(root, "proc/88/fd/9"));
  await write("/proc/locks", `1: POSIX  ADVISORY  READ 88 fd:00:${ino} 1 2\n`);
  await write("/proc/88/limits", `Max open files            ${files}    ${files}    files\n`);
}

/** What operators make of units, and what a kubelet keeps. */
export const ofServices: readonly Sickness[] = [
  {
    name: "a berthd that may have few files open",
    check: "daemon",
    make: (node) => running(node, 1024),
    level: "warning",
    says: /berthd may have 1024 files open/,
    advises: /LimitNOFILE=1048576/,
  },
  {
    name: "a berthd that may have fewer files open than its unit says",
    check: "daemon",
    make: async (node) => {
      await running(node, 20_000);
      await node.write(unit, `${asDeployed}LimitNOFILE=1048576\n`);
    },
    level: "warning",
    says: /berthd may have 20000 files open/,
    advises: /^systemctl restart berthd # .*--ulimit nofile/,
  },
  {
    name: "a unit whose restart ends all pods",
    check: "daemon",
    make: hardened("KillMode=mixed"),
    level: "error",
    says: /berthd's unit has KillMode=mixed \(\/etc\/systemd\/system\/berthd\.service\.d\/10-hardening\.conf\)/,
    mends: true,
  },
  {
    name: "a hand-made unit that says nothing of how it is stopped",
    check: "daemon",
    make: ({ write }) => write(unit, "[Service]\nExecStart=/usr/bin/berthd serve\n"),
    level: "error",
    says: /berthd's unit has KillMode=control-group/,
    mends: true,
  },
  {
    name: "a hardened unit with mounts of its own",
    check: "daemon",
    make: hardened("PrivateTmp=yes", "ProtectSystem=strict", "ProtectHome=no"),
    level: "error",
    says: /berthd's unit has PrivateTmp, ProtectSystem \(\S+\), and so mounts of its own/,
    mends: true,
  },
  {
    name: "a hardened unit that takes rights from all containers",
    check: "daemon",
    make: hardened("NoNewPrivileges=yes", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN"),
    level: "warning",
    says: /berthd's unit has NoNewPrivileges, CapabilityBoundingSet/,
    mends: true,
  },
  {
    name: "a unit with few tasks for all shims",
    check: "daemon",
    make: hardened("TasksMax=512", "MemoryMax=1G"),
    level: "warning",
    says: /berthd's unit has TasksMax=512 and MemoryMax=1G/,
    mends: true,
  },
  {
    name: "a berthd that does not come back with the node",
    check: "daemon",
    make: (node) => enabled(node, "kubelet.service"),
    level: "warning",
    says: /berthd is not enabled, and the kubelet is/,
    mends: true,
  },
  {
    name: "a kubelet whose policy for processors has changed",
    check: "kubelet",
    make: async ({ write }) => {
      await write(kubeletYaml, kubeletWith("cpuManagerPolicy: static\n"));
      await write(
        "/var/lib/kubelet/cpu_manager_state",
        '{"policyName":"none","defaultCpuSet":"","checksum":1}',
      );
    },
    level: "error",
    says: /cpuManagerPolicy is static, and \/var\/lib\/kubelet\/cpu_manager_state was written with none/,
    mends: true,
  },
  {
    name: "a kubelet whose policy for memory has changed, as newer ones keep it",
    check: "kubelet",
    make: ({ write }) =>
      write(
        "/var/lib/kubelet/memory_manager_state",
        JSON.stringify({ policyName: "", data: '{"policyName":"Static"}', dataChecksum: 1 }),
      ),
    level: "error",
    says: /memoryManagerPolicy is None, and \S+ was written with Static/,
    mends: true,
  },
  {
    name: "a backup beside a static pod's manifest",
    check: "kubelet",
    make: async ({ write }) => {
      await write(kubeletYaml, kubeletWith(`staticPodPath: ${manifests}\n`));
      await write(`${manifests}/kube-apiserver.yaml`, staticPod("kube-apiserver"));
      await write(`${manifests}/kube-apiserver.yaml.bak`, staticPod("kube-apiserver"));
      await write(`${manifests}/.kube-apiserver.yaml.swp`, "junk");
      await write("/root/.profile", "");
    },
    level: "warning",
    says: /are both the static pod kube-system\/kube-apiserver/,
    advises: /^mv \S*kube-apiserver\.yaml\.bak'? \/root\/$/,
  },
  {
    name: "a static pod's manifest that was cut off",
    check: "kubelet",
    make: async ({ write }) => {
      await write(kubeletYaml, kubeletWith(`staticPodPath: ${manifests}\n`));
      await write(`${manifests}/etcd.yaml`, "kind: Pod\nmetadata: {name: etcd\n");
    },
    level: "error",
    says: /the static pod's manifest \/etc\/kubernetes\/manifests\/etcd\.yaml cannot be used/,
    advises: /^vi /,
  },
  {
    name: "a crictl that is set to the runtime of before",
    check: "others",
    make: ({ write }) =>
      write(
        "/etc/crictl.yaml",
        "runtime-endpoint: unix:///run/containerd/containerd.sock\nimage-endpoint: unix:///run/containerd/containerd.sock\ntimeout: 10\n",
      ),
    level: "note",
    says: /crictl is set to \/run\/containerd\/containerd\.sock by \/etc\/crictl\.yaml/,
    mends: true,
  },
  {
    name: "a shim of long ago",
    check: "runtimes",
    make: ({ write }) =>
      write("/usr/bin/containerd-shim-runc-v2", "#!/bin/sh\necho '  Version:  1.4.13'\n", 0o755),
    level: "warning",
    says: /containerd-shim-runc-v2 of handler runc is 1\.4\S*, older than 1\.6/,
    advises: /--only-upgrade containerd/,
  },
  {
    name: "a clock that has jumped back before the kubelet's certificate",
    check: "certificates",
    make: ({ write }) =>
      write("/var/lib/kubelet/pki/kubelet-client-current.pem", certificateToCome),
    level: "error",
    says: /kubelet-client-current\.pem \(CN=reg\.example\) holds from 2090-01-01T\S+ on only/,
    advises: /makestep/,
  },
  {
    name: "a kubelet's own serving certificate that has ended",
    check: "certificates",
    make: async ({ write }) => {
      await write("/var/lib/kubelet/pki/kubelet.crt", endedCertificate);
      await write("/var/lib/kubelet/pki/kubelet.key", "");
    },
    level: "warning",
    says: /\/var\/lib\/kubelet\/pki\/kubelet\.crt \(CN=reg\.example\) has ended/,
    mends: true,
  },
];

/** Of CN=reg.example, from 2090 to 2091. */
const certificateToCome = `-----BEGIN CERTIFICATE-----
MIIBFzCBvgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtyZWcuZXhhbXBsZTAi
GA8yMDkwMDEwMTAwMDAwMFoYDzIwOTEwMTAxMDAwMDAwWjAWMRQwEgYDVQQDDAty
ZWcuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABESz3kSfHqNFln6R
eJeVeGNqhWg64DnYClvhrBG09A24CldLvijD0TvPuNfrg1bmotRx5WhedFUvM7R5
d+vKwqMwCgYIKoZIzj0EAwIDSAAwRQIgJDMJ9pM2fqY8CYWB9Ytxpea+0X32ILid
05pzVnJRK+ACIQCIltdKVqyp17ghGRrs8KyNtDKqeCbT3lsPpR/nCeESLQ==
-----END CERTIFICATE-----
`;
