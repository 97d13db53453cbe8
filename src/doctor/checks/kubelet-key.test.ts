// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { run } from "../../../test/support/run.ts";
import { scratch } from "../../../test/support/scratch.ts";
import { parseYaml } from "../../cri/oci-spec/parse-yaml.ts";
import { Host } from "../host.ts";
import { setKey } from "./kubelet-key.ts";

const wanted = { kind: "KubeletConfiguration", resolvConf: "/run/it's" };

/** The kubelet's file after the command. */
async function after(text: string): Promise<{ text: string; command: string }> {
  await using home = await scratch({ prefix: "kubelet-key" });
  const file = path.join(home.path, "it's a $file.yaml");
  await writeFile(file, text);
  const command = await setKey(new Host(), { file }, "resolvConf", wanted.resolvConf);
  const { code } = await run("sh", ["-c", `systemctl() { :; }; ${command}`]);
  assert.equal(code, 0);
  return { text: await readFile(file, "utf8"), command };
}

test("a key is set whether the file's last line has its end or not, and is there or not", async () => {
  const kind = "kind: KubeletConfiguration";
  for (const text of [
    kind,
    `${kind}\n`,
    `${kind}\nresolvConf: /old`,
    `resolvConf: /old\n${kind}`,
    `---\n${kind}`,
  ])
    assert.deepEqual(parseYaml((await after(text)).text), wanted, JSON.stringify(text));
});

test("a file to whose end no key can be added is left as it is", async () => {
  for (const text of [
    '{"kind":"KubeletConfiguration"}',
    '\n# a remark\n  {\n"kind":"KubeletConfiguration"}\n',
    "kind: KubeletConfiguration\n...\n",
    "kind: KubeletConfiguration\n---\nkind: other\n",
  ]) {
    const { text: left, command } = await after(text);
    assert.equal(left, text);
    assert.match(command, /^# set resolvConf to /);
  }
});
