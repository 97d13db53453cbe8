// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { lacking, podPrograms } from "../support/lacking.ts";
import { must, run } from "../support/run.ts";
import { openTestbed } from "../support/testbed.ts";

const berth = path.resolve(import.meta.dirname, "../../bin/berth");

/** Where somebody may have put a secret, and what must not leave the node. */
const planted = {
  proxy: "planted-proxy-pass",
  environment: "planted-environment-pass",
  header: "planted-header-value",
  plugin: "planted-plugin-setting",
  container: "planted-container-variable",
  annotation: "planted-annotation",
  log: "planted-log-password",
};

suite("berth support", { skip: lacking(...podPrograms) }, () => {
  test("packs what a bug report needs, and no secret", async () => {
    await using bed = await openTestbed({
      config: {
        registry: {
          proxy: `http://user:${planted.proxy}@proxy.example:1`,
          no_proxy: ["127.0.0.1"],
        },
        plugins: { dir: "", config: { mine: { on_failure: "ignore", colour: planted.plugin } } },
      },
      env: { HTTPS_PROXY: `http://user:${planted.environment}@proxy.example:2`, NO_PROXY: "*" },
    });
    const { daemon, cri } = bed;
    const certs = path.join(daemon.folder, "certs.d/reg.example");
    await mkdir(certs, { recursive: true });
    const login = Buffer.from(`me:${planted.header}`).toString("base64");
    await writeFile(
      path.join(certs, "hosts.toml"),
      `server = "https://reg.example"\n# ${planted.header}\n[host."https://m.example".header]\nx-mine = "${planted.header}"\nauthorization = "Basic ${login}"\n`,
    );
    // What journalctl would print of it: the daemon writes to a file here.
    const bin = path.join(daemon.folder, "bin");
    await mkdir(bin);
    const lines = `cat '${daemon.folder}/berthd.log'; echo 'login with password=${planted.log}'; echo 'via http://user:${planted.environment}@proxy.example:2'`;
    await writeFile(path.join(bin, "journalctl"), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    const pod = await cri.runPod({ annotations: { mine: planted.annotation } });
    await cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"], {
      envs: [{ key: "WORD", value: Buffer.from(planted.container) }],
    });
    const file = path.join(daemon.folder, "support.tar.gz");
    const flags = ["support", "-c", daemon.configFile, "-o", file];
    const { code, stdout, stderr } = await run(berth, flags, {
      env: { PATH: `${bin}:${process.env["PATH"] ?? ""}` },
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /support\.tar\.gz: \d+ files, \d+ bytes/);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const second = path.join(daemon.folder, "second.tar.gz");
    const told = await must(berth, ["--json", "support", "-c", daemon.configFile, "-o", second]);
    assert.equal((JSON.parse(told) as { file: string }).file, second);
    const text = gunzipSync(await readFile(file)).toString();
    for (const [where, secret] of Object.entries(planted)) {
      assert.ok(!text.includes(secret), `the ${where}'s secret is in the archive`);
      assert.ok(!text.includes(Buffer.from(secret).toString("base64")), where);
    }
    assert.ok(!text.includes(login));
    const names = (await must("tar", ["tzf", file])).split("\n").map((name) => path.basename(name));
    const wanted = [
      "versions.json",
      "config.toml",
      "doctor.json",
      "status.json",
      "operations.json",
      "pods.json",
      "log.txt",
      "mounts.txt",
      "cgroups.txt",
    ];
    for (const name of wanted) assert.ok(names.includes(name), name);
    assert.ok(text.includes(pod.id), "the pod is told");
    assert.match(text, /sandbox started|listening|serving/i, "the log is told");
    assert.match(text, /proxy\.example:1/, "which proxy it is, is told");
    const again = await run(berth, flags);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /support\.tar\.gz is there already/);
    await cri.removePod(pod.id);
    await bed.finish();
  });
});
