// SPDX-License-Identifier: Apache-2.0
// How nodes of real installers are found and set: files as kubeadm, k3s, RKE2 and k0s leave them.
import assert from "node:assert/strict";
import path from "node:path";
import { after, test } from "node:test";
import { openRoots } from "../../test/support/node-roots.ts";
import { readNodeSetting } from "./node-kind.ts";
import type { NodeKind, NodeSetting } from "./node-setting.ts";

const roots = openRoots();
after(() => roots[Symbol.dispose]());
const { make: rootWith, roundTrip } = roots;

const ourEndpoint = "/run/berthd/berthd.sock";
const ours = `unix://${ourEndpoint}`;

const read = (root: string, kind?: NodeKind): Promise<NodeSetting> =>
  readNodeSetting({ kind, ourEndpoint }, { root });

test("kubeadm of 1.27 to 1.35: the flag wins, and it is what is set", async () => {
  const root = rootWith({
    "var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\n",
    "var/lib/kubelet/kubeadm-flags.env":
      'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock --pod-infra-container-image=registry.k8s.io/pause:3.9"\n',
  });
  const found = await read(root);
  assert.deepEqual(
    [found.kind, found.service, found.oldService, found.oldEndpoint],
    ["kubelet", "kubelet", "containerd", "/var/run/containerd/containerd.sock"],
  );
  const [flags = "", ...rest] = await roundTrip(found);
  assert.deepEqual(rest, []);
  assert.match(flags, new RegExp(`--container-runtime-endpoint=${ours} --pod-infra`));
});

test("kubeadm of 1.36 on: the key, and the file from which kubeadm makes it anew", async () => {
  const root = rootWith({
    "var/lib/kubelet/config.yaml":
      "containerRuntimeEndpoint: unix:///run/crio/crio.sock\nkind: K\n",
    "var/lib/kubelet/instance-config.yaml":
      "containerRuntimeEndpoint: unix:///run/crio/crio.sock\n",
    "var/lib/kubelet/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS=""\n',
  });
  const found = await read(root);
  assert.equal(found.oldService, "crio");
  assert.deepEqual(await roundTrip(found), [
    `containerRuntimeEndpoint: ${ours}\nkind: K\n`,
    `containerRuntimeEndpoint: ${ours}\n`,
  ]);
});

test("a kubelet that names no endpoint has containerd's; one for images alone is set, too", async () => {
  const root = rootWith({
    "var/lib/kubelet/config.yaml": "imageServiceEndpoint: unix:///run/containerd/containerd.sock\n",
  });
  const found = await read(root);
  assert.equal(found.oldEndpoint, "/run/containerd/containerd.sock");
  const [text] = (await roundTrip({ ...found, edits: found.edits.slice(0, 1) })) as [string];
  assert.match(text, new RegExp(`^containerRuntimeEndpoint: ${ours}$`, "m"));
  assert.deepEqual(
    found.edits.map(({ name }) => name),
    ["containerRuntimeEndpoint", "imageServiceEndpoint"],
  );
});

test("a flag that comes from nowhere is told before anything is done", async () => {
  const root = rootWith({
    "proc/7/comm": "kubelet\n",
    "proc/7/cmdline": "kubelet\0--container-runtime-endpoint=unix:///run/x.sock\0",
  });
  await assert.rejects(
    read(root),
    /which can be changed in none of \/var\/lib\/kubelet\/kubeadm-flags\.env/,
  );
});

for (const [kind, service] of [
  ["k3s", "k3s"],
  ["k3s", "k3s-agent"],
  ["rke2", "rke2-server"],
  ["rke2", "rke2-agent"],
] as const) {
  test(`${service}: its configuration file, made where there is none`, async () => {
    const unit = `usr/local/lib/systemd/system/${service}.service`;
    const root = rootWith({ [unit]: `[Service]\nExecStart=/usr/local/bin/${kind} agent\n` });
    const found = await read(root);
    assert.deepEqual(
      [found.kind, found.service, found.oldService, found.oldEndpoint],
      [kind, service, undefined, "/run/k3s/containerd/containerd.sock"],
    );
    assert.deepEqual(await roundTrip(found), [`container-runtime-endpoint: ${ours}\n`]);
    assert.equal(found.edits[0]?.file, `${root}/etc/rancher/${kind}/config.yaml`);
  });
}

test("k3s with a drop-in or a flag: where it stands already", async () => {
  const unit = "etc/systemd/system/k3s.service";
  const dropIn = "etc/rancher/k3s/config.yaml.d/10.yaml";
  const root = rootWith({
    [unit]: "[Service]\nExecStart=/usr/local/bin/k3s server\n",
    "etc/rancher/k3s/config.yaml": "token: secret\n",
    [dropIn]: "container-runtime-endpoint: unix:///run/containerd/containerd.sock\n",
  });
  const found = await read(root);
  assert.deepEqual(
    found.edits.map(({ file }) => file),
    [path.join(root, dropIn)],
  );
  assert.equal(found.oldEndpoint, "/run/containerd/containerd.sock");
  await roundTrip(found);
  const flagged = rootWith({
    [unit]:
      "[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--container-runtime-endpoint=/run/a.sock' \\\n",
  });
  const [text = ""] = await roundTrip(await read(flagged));
  assert.match(text, new RegExp(`'--container-runtime-endpoint=${ours}' \\\\`));
  const docker = rootWith({ [unit]: "[Service]\nExecStart=/usr/local/bin/k3s server --docker\n" });
  await assert.rejects(read(docker), /has --docker/);
  // As k3s' installer writes it.
  const quoted = rootWith({
    [unit]: "[Service]\nExecStart=/k3s \\\n    server \\\n\t'--docker' \\\n",
  });
  await assert.rejects(read(quoted), /has --docker/);
  const set = rootWith({
    [unit]: "[Service]\nExecStart=/k3s server\n",
    [dropIn]: "docker: true\n",
  });
  await assert.rejects(read(set), /10\.yaml has docker: true/);
  const elsewhere = rootWith({
    [unit]: "[Service]\nExecStart=/k3s server '--config' '/opt/x.yaml'\n",
  });
  assert.equal((await read(elsewhere)).edits[0]?.file, path.join(elsewhere, "opt/x.yaml"));
});

test("what runs counts: a unit of k3s may be left over, and k0s' kubelet is called so", async () => {
  const files = {
    "etc/systemd/system/k3s.service": "[Service]\nExecStart=/usr/local/bin/k3s server\n",
    "etc/systemd/system/k0sworker.service": "[Service]\nExecStart=/usr/local/bin/k0s worker\n",
    "var/lib/kubelet/config.yaml": "cgroupDriver: systemd\n",
    "proc/7/comm": "kubelet\n",
    "proc/7/cmdline": "kubelet\0--config=/var/lib/kubelet/config.yaml\0",
  };
  const root = rootWith(files);
  const found = await read(root);
  assert.deepEqual([found.kind, found.cgroupDriver], ["kubelet", "systemd"]);
  assert.equal((await read(root, "k3s")).kind, "k3s"); // as it is told
  assert.equal((await read(rootWith({ ...files, "proc/8/comm": "k0s\n" }))).kind, "k0s");
  assert.equal((await read(rootWith({ ...files, "proc/8/comm": "k3s-server\n" }))).kind, "k3s");
});

test("k0s: a drop-in of its unit, with the whole command", async () => {
  const root = rootWith({
    "etc/systemd/system/k0sworker.service":
      "[Service]\nExecStart=/usr/local/bin/k0s worker --token-file=/etc/k0s/token\n",
  });
  const found = await read(root);
  assert.equal(found.oldEndpoint, "/run/k0s/containerd.sock");
  assert.deepEqual(await roundTrip(found), [
    `# made by berth migrate\n[Service]\nExecStart=\nExecStart=/usr/local/bin/k0s worker --token-file=/etc/k0s/token --cri-socket=remote:${ours}\n`,
  ]);
});

test("a machine without any of them, or with a configuration that cannot be read", async () => {
  await assert.rejects(read(rootWith({})), /there is no kubelet on this machine/);
  await assert.rejects(read(rootWith({}), "k0s"), /no unit k0sworker or k0scontroller/);
  const broken = rootWith({ "var/lib/kubelet/config.yaml": "a: [\n" });
  await assert.rejects(read(broken), /cannot be read/);
  const list = rootWith({ "var/lib/kubelet/config.yaml": "containerRuntimeEndpoint: [a]\n" });
  await assert.rejects(read(list), /containerRuntimeEndpoint is no text/);
});
