// SPDX-License-Identifier: Apache-2.0
// Builds the package for this machine and runs what is in it: no module, no Node and no file of the checkout.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { must } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";
import { type BuiltPackage, buildPackage, cleanCheckout } from "./build-package.ts";

const mostPackedMb = 60;

suite("the package of this machine", () => {
  let home: Scratch;
  let built: BuiltPackage;
  let root: string;
  let bin: string;
  before(async () => {
    home = await scratch({ prefix: "package" });
    built = await buildPackage(await home.folder("first"));
    root = await home.folder("root");
    await must("tar", ["-C", root, "--zstd", "-xf", built.archive]);
    bin = path.join(root, "usr/bin");
  });
  after(() => home[Symbol.asyncDispose]());

  /** Runs a program of the package as a user of a machine without Node would. */
  const runPackaged = (program: string, ...args: string[]): Promise<string> =>
    must(path.join(bin, program), args, {
      env: { PATH: "/usr/bin:/bin", HOME: home.path },
      cwd: "/",
    });

  test("is small enough to be pulled in a minute", () => {
    for (const file of [built.archive, built.deb]) {
      assert.ok(statSync(file).size <= mostPackedMb * 1e6, `${file}: ${statSync(file).size} bytes`);
    }
  });

  test("is the same from two clean checkouts in different folders", async () => {
    const made: BuiltPackage[] = [];
    for (const name of ["one", "the other, which is elsewhere"]) {
      const checkout = path.join(home.path, name);
      await cleanCheckout("HEAD", checkout);
      made.push(await buildPackage(await home.folder(`of ${name}`), { checkout }));
    }
    const [one, other] = made.map(({ sums }) => readFileSync(sums, "utf8"));
    assert.equal(one, other);
    for (const name of ["archive", "deb", "sbom"] as const) {
      assert.deepEqual(hashOf(made[0]![name]), hashOf(made[1]![name]), name);
    }
  });

  test("has sums of all that was made", async () => {
    await must("sha256sum", ["--check", "--strict", built.sums], { cwd: path.dirname(built.sums) });
  });

  test("names nothing of the checkout that made it", () => {
    const checkout = realpathSync(path.resolve(import.meta.dirname, "../.."));
    for (const name of globSync("usr/lib/berth/*/lib/js/*.js", { cwd: root })) {
      const text = readFileSync(path.join(root, name), "utf8");
      assert.ok(!text.includes(checkout), name);
      assert.doesNotMatch(text, /new URL\("[^"]*\.ts"/, name);
    }
  });

  test("says what it is, and who has the rights", async () => {
    const list = JSON.parse(readFileSync(built.sbom, "utf8")) as {
      components: { name: string; version: string }[];
    };
    const copyright = readFileSync(path.join(root, "usr/share/doc/berth/copyright"), "utf8");
    for (const { name, version } of list.components) {
      assert.ok(copyright.includes(`\n${name} ${version}: `), `${name} is in the list only`);
    }
    assert.ok(list.components.some(({ name }) => name.startsWith("node-linux-")));
    const { version } = JSON.parse(
      readFileSync(path.join(import.meta.dirname, "../../package.json"), "utf8"),
    ) as { version: string };
    assert.equal(
      await runPackaged("berthd", "version"),
      `berthd ${version}\nnode ${process.version}\n`,
    );
  });

  test("has manual pages and completion", async () => {
    const pages = path.join(root, "usr/share/man");
    assert.match(await must("zcat", [`${pages}/man1/berth.1.gz`]), /\.SS status/);
    assert.match(await must("zcat", [`${pages}/man5/berthd.toml.5.gz`]), /\.SS \[grpc\]/);
    assert.match(await must("zcat", [`${pages}/man8/berthd.8.gz`]), /\.SS serve/);
    const completion = path.join(root, "usr/share/bash-completion/completions/berth");
    assert.match(readFileSync(completion, "utf8"), /complete/);
  });

  test("checks a configuration without a daemon", async () => {
    const file = path.join(root, "etc/berthd/config.toml");
    assert.match(await runPackaged("berthd", "config", "check", "--config", file), /is valid/);
  });

  test("runs pods, and keeps them over a restart", { skip: lacking(...podPrograms) }, async () => {
    const programs = bin;
    const bed = await openTestbed({ programs });
    try {
      const { cri, daemon } = bed;
      const pod = await cri.runPod();
      const shell = bed.images.shell.reference;
      const id = await cri.startContainer(pod, shell, ["sh", "-c", "echo said; sleep 100000"]);
      assert.equal((await cri.exec(id, ["echo", "executed"])).stdout, "executed\n");
      assert.match(
        readlinkOf(daemon.pid()),
        new RegExp(`^${root}/usr/lib/berth/[^/]+-[0-9a-f]{12}/bin/node$`),
      );
      await daemon.stop();
      await daemon.start();
      assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
      const told = await runPackaged("berth", "--address", daemon.socket, "pod", "ls");
      assert.match(told, new RegExp(pod.id.slice(0, 12)));
      await until("its log is written", async () => {
        const logs = await runPackaged("berth", "--address", daemon.socket, "logs", id);
        return logs === "said\n";
      });
      await cri.removePod(pod.id);
      const unexpected = (await daemon.logLines()).filter((line) => line["level"] === "error");
      assert.deepEqual(unexpected, []);
    } finally {
      await bed.finish();
    }
  });
});

function hashOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function readlinkOf(pid: number): string {
  const link = `/proc/${pid}/exe`;
  return existsSync(link) ? realpathSync(link) : "gone";
}
