// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { endedCertificate } from "../../../test/support/doctor/ended-certificate.ts";
import { type MadeNode, makeNode, runningKubelet } from "../../../test/support/doctor/made-node.ts";
import { kubeletYaml } from "../../../test/support/doctor/sickness.ts";

interface Healthy {
  readonly name: string;
  readonly check: string;
  readonly make: (node: MadeNode) => Promise<void>;
  /** What may be said of what this is about; nothing where it is left out. */
  readonly notes?: RegExp;
  /** What the row is about: no finding may speak of it. */
  readonly about: RegExp;
}

const manifests = "/etc/kubernetes/manifests";
const pod = (name: string): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec: {containers: [{name: a, image: b}]}\n`;
const settings = (text: string): string =>
  `kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/berthd/berthd.sock\nfailCgroupV1: false\n${text}`;

async function withManifest({ write }: MadeNode, name: string, text: string): Promise<void> {
  await write(kubeletYaml, settings(`staticPodPath: ${manifests}\n`));
  await write(`${manifests}/${name}`, text);
}

async function withServing({ root, write }: MadeNode, flag: string): Promise<void> {
  await write("/var/lib/kubelet/pki/kubelet.crt", endedCertificate);
  await runningKubelet(write, root, 37, flag);
}

/** What nodes have on which all works. */
const rows: readonly Healthy[] = [
  {
    name: "a network of both families with half of its addresses given",
    check: "cni",
    about: /has given/,
    make: async ({ write }) => {
      const ranges = [[{ subnet: "10.99.0.0/28" }], [{ subnet: "fd00:99::/64" }]];
      const bridge = { type: "bridge", ipam: { type: "host-local", ranges } };
      const conf = { cniVersion: "1.0.0", name: "pods", plugins: [bridge] };
      await write("/etc/cni/net.d/10-pods.conflist", JSON.stringify(conf));
      for (let at = 2; at < 9; at += 1) {
        await write(`/var/lib/cni/networks/pods/10.99.0.${at}`, "x\r\neth0");
        await write(`/var/lib/cni/networks/pods/fd00:99::${at}`, "x\r\neth0");
      }
    },
  },
  {
    name: "a static pod's manifest below a page of empty lines",
    check: "kubelet",
    about: /static pod/,
    make: (node) => withManifest(node, "a.yaml", `${"\n".repeat(60)}${pod("a")}`),
  },
  ...["---\n%", "# made by hand\n---\n%", "%---\n", `%---\n${pod("second")}`].map(
    (form): Healthy => ({
      name: `a static pod's manifest as ${JSON.stringify(form.replace(pod("second"), "…"))}`,
      check: "kubelet",
      about: /static pod/,
      make: (node) => withManifest(node, "a.yaml", form.replace("%", pod("a"))),
    }),
  ),
  {
    name: "a static pod's manifest with a key that stands twice",
    check: "kubelet",
    about: /static pod/,
    make: (node) => withManifest(node, "a.yaml", `${pod("a")}kind: Pod\n`),
  },
  {
    name: "words beside the static pods",
    check: "kubelet",
    about: /static pod/,
    notes: /README is no static pod$/,
    make: (node) => withManifest(node, "README", "these are: the pods\nof this node\n"),
  },
  ...[
    "/usr/lib/systemd/system/multi-user.target.wants",
    "/etc/systemd/system/a.target.upholds",
  ].map(
    (folder): Healthy => ({
      name: `a berthd that is enabled by ${folder}`,
      check: "daemon",
      about: /not enabled/,
      make: async ({ root, write }) => {
        await write("/usr/lib/systemd/system/berthd.service", "[Service]\nKillMode=process\n");
        const kubelets = "/etc/systemd/system/multi-user.target.wants";
        for (const [at, service] of [
          [folder, "berthd"],
          [kubelets, "kubelet"],
        ] as const) {
          await mkdir(path.join(root, at), { recursive: true });
          await symlink(`../${service}.service`, path.join(root, at, `${service}.service`));
        }
      },
    }),
  ),
  ...["--rotate-server-certificates", "--tls-cert-file=/etc/pki/a.crt", "--cert-dir=/etc/pki"].map(
    (flag): Healthy => ({
      name: `a kubelet with ${flag}, and the certificate of before`,
      check: "certificates",
      about: /kubelet\.crt/,
      make: (node) => withServing(node, flag),
    }),
  ),
];

for (const { name, check, make, about, notes } of rows) {
  test(`${name} is nothing to worry about`, async () => {
    await using node = await makeNode();
    await make(node);
    const { findings } = await node.examine("--only", check);
    const said = findings.filter(({ what, level }) => level !== "ok" && about.test(what));
    for (const one of said) assert.ok(one.level === "note" && notes?.test(one.what), one.what);
    assert.equal(said.length, notes === undefined ? 0 : 1);
  });
}

test("what a restart would do to pods is told before commands that restart", async () => {
  await using node = await makeNode();
  await node.write("/etc/systemd/system/berthd.service", "[Service]\nKillMode=mixed\n");
  const { findings } = await node.examine("--only", "daemon");
  const first = findings.find(({ level }) => level !== "ok");
  assert.match(first?.what ?? "", /KillMode=mixed/);
});
