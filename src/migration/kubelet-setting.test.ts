// SPDX-License-Identifier: Apache-2.0
// Kubelets whose endpoint stands in drop-ins, files of variables, a package's unit or a configuration file of another name.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openRoots } from "../../test/support/node-roots.ts";
import { readNodeSetting } from "./node-kind.ts";
import type { NodeKind, NodeSetting } from "./node-setting.ts";

const roots = openRoots();
after(() => roots[Symbol.dispose]());
const ourEndpoint = "/run/berthd/berthd.sock";
const ours = `unix://${ourEndpoint}`;
const theirs = "unix:///run/containerd/containerd.sock";
const read = (root: string, kind?: NodeKind): Promise<NodeSetting> =>
  readNodeSetting({ kind, ourEndpoint }, { root });
const unit = "etc/systemd/system/kubelet.service";

test("a drop-in's Environment=, where the unit is of another folder", async () => {
  // As nodes of AKS have it.
  const root = roots.make({
    "usr/lib/systemd/system/kubelet.service":
      "[Service]\nEnvironmentFile=/etc/default/kubelet\nExecStart=/usr/local/bin/kubelet $KUBELET_FLAGS $KUBELET_CONTAINERD_FLAGS\n",
    "etc/default/kubelet": "KUBELET_FLAGS=--node-ip=10.0.0.1\n",
    "etc/systemd/system/kubelet.service.d/10-containerd.conf": `[Service]\nEnvironment=KUBELET_CONTAINERD_FLAGS="--runtime-request-timeout=15m --container-runtime-endpoint=${theirs}"\n`,
  });
  const found = await read(root);
  assert.equal(found.oldEndpoint, "/run/containerd/containerd.sock");
  assert.deepEqual(await roots.roundTrip(found), [
    `[Service]\nEnvironment=KUBELET_CONTAINERD_FLAGS="--runtime-request-timeout=15m --container-runtime-endpoint=${ours}"\n`,
  ]);
});

test("a file that the unit names, by a pattern", async () => {
  const root = roots.make({
    [unit]:
      "[Service]\nEnvironmentFile=-/etc/kubernetes/*.env\nExecStart=/opt/bin/kubelet ${ARGS}\n".replace(
        "${ARGS}",
        "$ARGS",
      ),
    "etc/kubernetes/a.env": `ARGS="--container-runtime-endpoint ${theirs} --v=2"\n`,
  });
  assert.deepEqual(await roots.roundTrip(await read(root)), [
    `ARGS="--container-runtime-endpoint ${ours} --v=2"\n`,
  ]);
});

test("a package's file is left alone: the unit gets a drop-in, whose flags come last", async () => {
  const command = "/usr/bin/kubelet --config=/etc/kubernetes/kubelet.json $EXTRA";
  const root = roots.make({
    "usr/lib/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\n",
    "usr/lib/systemd/system/kubelet.service.d/10.conf": `[Service]\nEnvironment="EXTRA=--container-runtime-endpoint=${theirs} --image-service-endpoint=${theirs}"\nExecStart=\nExecStart=${command}\n`,
    "etc/kubernetes/kubelet.json": '{"kind": "KubeletConfiguration"}',
  });
  const found = await read(root);
  assert.deepEqual(
    found.edits.map(({ file }) => file),
    [`${root}/etc/systemd/system/kubelet.service.d/zz-berth.conf`],
  );
  const [text] = await roots.roundTrip(found, async () => {
    const again = await read(root);
    assert.equal(again.oldEndpoint, ourEndpoint, "what is set counts");
  });
  assert.equal(
    text,
    `# made by berth migrate\n[Service]\nExecStart=\nExecStart=${command} --container-runtime-endpoint=${ours} --image-service-endpoint=${ours}\n`,
  );
});

test("a package's script that starts the kubelet is told", async () => {
  const root = roots.make({
    "usr/lib/systemd/system/kubelet.service": `[Service]\nExecStart=/bin/sh -c "exec kubelet --container-runtime-endpoint=${theirs}"\n`,
    "proc/7/comm": "kubelet\n",
    "proc/7/cmdline": `kubelet\0--container-runtime-endpoint=${theirs}\0`,
  });
  await assert.rejects(read(root), /can be changed in none of \/usr\/lib\/systemd/);
});

test("the configuration file that the unit names, in JSON", async () => {
  const file = "etc/kubernetes/kubelet/kubelet-config.json";
  const root = roots.make({
    [unit]: `[Service]\nExecStart=/usr/bin/kubelet --config /${file}\n`,
    [file]: `${JSON.stringify({ kind: "K", containerRuntimeEndpoint: theirs }, null, 2)}\n`,
  });
  const [text = ""] = await roots.roundTrip(await read(root));
  assert.deepEqual(JSON.parse(text), { kind: "K", containerRuntimeEndpoint: ours });
});

test("k3s and k0s by what their units name: files of variables, another configuration, overridden commands", async () => {
  const k3s = roots.make({
    "etc/systemd/system/k3s.service":
      "[Service]\nEnvironmentFile=-/etc/default/%N\nExecStart=/usr/local/bin/k3s server\n",
    "etc/default/k3s": "K3S_CONFIG_FILE=/opt/k3s.yaml\n",
  });
  assert.equal((await read(k3s)).edits[0]?.file, `${k3s}/opt/k3s.yaml`);
  const dropIn = "etc/systemd/system/rke2-agent.service.d/10.conf";
  const rke2 = roots.make({
    "usr/local/lib/systemd/system/rke2-agent.service": "[Service]\nExecStart=/opt/rke2 agent\n",
    [dropIn]: `[Service]\nExecStart=\nExecStart=/opt/rke2 agent --container-runtime-endpoint=${theirs}\n`,
  });
  assert.deepEqual(await roots.roundTrip(await read(rke2)), [
    `[Service]\nExecStart=\nExecStart=/opt/rke2 agent --container-runtime-endpoint=${ours}\n`,
  ]);
  // As its archive brings it, which is no package.
  const ofArchive = roots.make({
    "usr/local/lib/systemd/system/rke2-agent.service": `[Service]\nExecStart=/opt/rke2 agent --container-runtime-endpoint=${theirs}\n`,
  });
  const [edit] = (await read(ofArchive)).edits;
  assert.equal(edit?.file, `${ofArchive}/usr/local/lib/systemd/system/rke2-agent.service`);
  const k0s = roots.make({
    "etc/systemd/system/k0sworker.service": "[Service]\nExecStart=/usr/local/bin/k0s worker\n",
    "etc/systemd/system/k0sworker.service.d/10.conf":
      "[Service]\nExecStart=\nExecStart=/usr/local/bin/k0s worker --labels=a=b\n",
  });
  assert.match((await roots.roundTrip(await read(k0s)))[0] ?? "", /k0s worker --labels=a=b --cri-/);
});

test("microk8s: its file of flags, and its containerd's service", async () => {
  const args = "var/snap/microk8s/current/args/kubelet";
  const files = (endpoint: string): Record<string, string> => ({
    "etc/systemd/system/snap.microk8s.daemon-kubelite.service":
      "[Service]\nExecStart=/usr/bin/snap run microk8s.daemon-kubelite\n",
    [args]: `--kubeconfig=\${SNAP_DATA}/credentials/kubelet.config\n--container-runtime-endpoint=${endpoint}\n`,
  });
  const root = roots.make(files("${SNAP_COMMON}/run/containerd.sock"));
  const found = await read(root);
  assert.deepEqual(
    [found.kind, found.service, found.oldService, found.oldEndpoint],
    [
      "microk8s",
      "snap.microk8s.daemon-kubelite",
      "snap.microk8s.daemon-containerd",
      "/var/snap/microk8s/common/run/containerd.sock",
    ],
  );
  assert.match((await roots.roundTrip(found))[0] ?? "", new RegExp(`endpoint=${ours}\n$`));
  assert.equal((await read(roots.make(files("/run/x.sock")))).oldService, undefined);
});
