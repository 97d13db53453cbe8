// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { makeNode } from "../../support/doctor/made-node.ts";
import { frozenMount } from "../../support/frozen-mount.ts";
import { run } from "../../support/run.ts";

const berth = path.resolve(import.meta.dirname, "../../../bin/berth");

test("a file system without its server is named by each check that looks there, and doctor ends", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  await using node = await makeNode();
  const folder = path.join(node.root, "opt/cni/frozen");
  await mkdir(folder, { recursive: true });
  using frozen = frozenMount(folder);
  if (frozen === undefined) return t.skip("needs FUSE");
  await node.write("/etc/berthd/config.toml", '[cni]\nbin_dirs = ["/opt/cni/frozen"]\n');
  const { code, stdout, stderr } = await run(berth, ["doctor", "--host", node.root, "--json"], {
    timeoutMs: 90_000,
  });
  assert.equal(code, 1, stderr);
  const { findings } = JSON.parse(stdout) as { findings: { check: string; what: string }[] };
  const said = findings.filter(({ check }) => check === "cni").map(({ what }) => what);
  assert.match(said.join("\n"), /the fuse file system on \/opt\/cni\/frozen does not answer/);
  assert.ok(findings.some(({ check }) => check === "disk"));
});

test("a daemon that hangs is named, and the rest is looked at", async () => {
  await using node = await makeNode();
  const server = createServer(() => {}); // takes connections, and says nothing
  const socket = path.join(node.root, "run/berthd/berthd.sock");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    const { findings, status } = await node.examine();
    assert.equal(status, 1);
    const [hung] = findings.filter(({ check }) => check === "daemon");
    assert.match(
      hung?.what ?? "",
      /berthd \(process \d+\) does not answer at \/run\/berthd\/berthd/,
    );
    assert.ok(findings.some(({ check }) => check === "kernel"));
  } finally {
    server.close();
  }
});

test("doctor --only refuses a name that is none, and takes several", async () => {
  await using node = await makeNode();
  const { findings } = await node.examine("--only", "kernel", "cni");
  assert.deepEqual([...new Set(findings.map(({ check }) => check))], ["kernel", "cni"]);
  const { findings: same } = await node.examine("--only", "kernel,cni", "disk");
  assert.deepEqual([...new Set(same.map(({ check }) => check))], ["kernel", "cni", "disk"]);
  await assert.rejects(
    node.examine("--only", "zebra"),
    /argument 'zebra' is invalid. Allowed choices are config, /,
  );
});

test("doctor --host of a folder that is not there is a wrong command line", async () => {
  const { code, stdout, stderr } = await run(berth, ["doctor", "--host", "/nonexistent"]);
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /there is no folder \/nonexistent/);
});
