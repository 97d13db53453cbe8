// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeNode } from "../../../test/support/doctor/made-node.ts";
import { kubeletConf, kubeletYaml } from "../../../test/support/doctor/sickness.ts";

/** What is said of files that the kubelet's settings name. */
async function examined(settings: string, ...files: readonly string[]) {
  await using node = await makeNode();
  await node.write(kubeletYaml, `kind: KubeletConfiguration\n${settings}`);
  for (const file of files) await node.write(file, "certificate-authority-data: eA==\n");
  const { findings } = await node.examine("--only", "kubelet");
  return findings.filter(({ what }) => what.endsWith(" is not there"));
}

test("a relative file is the one beside the kubelet's configuration", async () => {
  const settings = "tlsCertFile: pki/a.crt\ntlsPrivateKeyFile: pki/a.key\n";
  const found = await examined(settings, "/var/lib/kubelet/pki/a.crt");
  assert.deepEqual(
    found.map(({ what }) => what),
    ["the kubelet's tlsPrivateKeyFile, /var/lib/kubelet/pki/a.key, is not there"],
  );
});

test("an authority's name is one word of what is printed", async () => {
  const x509 = `authentication:\n  x509:\n    clientCAFile: "/etc/it's $(id)/ca.crt"\n`;
  const file = `'/etc/it'\\''s $(id)/ca.crt'`;
  const held = (await examined(x509, kubeletConf))[0]?.mend ?? "";
  assert.ok(held.startsWith(`mkdir -p '/etc/it'\\''s $(id)' && sed `), held);
  assert.ok(held.endsWith(`>${file} && systemctl restart kubelet`), held);
  const other = (await examined(x509))[0]?.mend ?? "";
  assert.ok(other.startsWith(`cp THE-CLUSTER-AUTHORITY ${file} && `), other);
});
