// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { run } from "../../../base/process.ts";
import { isThere } from "../../../oci/unseen-program.ts";
import { pauseBinaryPath } from "../../../pause/pause-binary.ts";
import { identityOf, type ProgramIdentity } from "./program-identity.ts";
import { layUnseen, mustNotSeeCgroup2 } from "./unseen-cgroups.ts";

suite("a program that runs crun without cgroup v2 in sight", () => {
  let home: string;
  const place = () => ({ program: path.join(home, "c r/crun"), binary: pauseBinaryPath() });
  before(async () => {
    home = await mkdtemp(path.join(tmpdir(), "berth unseen "));
  });
  after(() => rm(home, { recursive: true }));

  async function stand(name: string, text: string): Promise<ProgramIdentity> {
    const file = path.join(home, name);
    await writeFile(file, `#!/bin/sh\n${text}\n`);
    await chmod(file, 0o755);
    const identity = await identityOf(file);
    assert.ok(identity);
    return identity;
  }

  test("it stays the same file until what it hides crun with changes", async () => {
    const first = await layUnseen(place(), await stand("one", "exit 1"));
    assert.ok(first);
    assert.equal((await stat(first.path)).mode & 0o7777, 0o700);
    assert.deepEqual(await layUnseen(place(), await stand("two", "exit 2")), first);
    await writeFile(first.path, "cut");
    const mended = await layUnseen(place(), await stand("two", "exit 2"));
    assert.notDeepEqual(mended, first);
    assert.deepEqual(await layUnseen(place(), await stand("two", "exit 2")), mended);
    await writeFile(path.join(home, "file"), "");
    const nowhere = { ...place(), program: path.join(home, "file/crun") };
    assert.equal(await layUnseen(nowhere, await stand("two", "exit 2")), undefined);
  });

  test("it counts as there while what it runs is", async () => {
    const laid = await layUnseen(place(), await stand("three", "exit 3"));
    assert.equal(isThere(laid?.path ?? ""), true);
    await rm(path.join(home, "three"));
    assert.equal(isThere(laid?.path ?? ""), false);
    assert.equal(isThere(path.join(home, "no such")), false);
    assert.equal(isThere(process.execPath), true);
  });

  const skip = process.getuid?.() === 0 ? false : "needs root";
  test("arguments, environment and exit status go through; cgroup v2 does not", {
    skip,
  }, async () => {
    const text = [
      'printf "%s," "$@" "$KEPT"',
      "grep -c ' /sys/fs/cgroup/unified ' /proc/self/mountinfo",
      "exit 7",
    ].join("\n");
    const laid = await layUnseen(place(), await stand("four", text));
    const env = { ...process.env, KEPT: "yes" };
    const call = { env, anyExitCode: true, timeoutMs: 10_000 } as const;
    const { stdout, exitCode } = await run(laid?.path ?? "", ["a b", "", "--c"], call);
    assert.equal(stdout.toString(), "a b,,--c,yes,0\n");
    assert.equal(exitCode, 7);
    await rm(path.join(home, "four"));
    const gone = await run(laid?.path ?? "", [], call);
    assert.match(gone.stderr.toString(), /^cannot run .*\/c r\/real\/crun\n$/);
    assert.equal(gone.exitCode, 1);
  });

  for (const [what, controllers, must] of [
    ["has controllers", "hugetlb misc\n", true],
    ["has none", "\n", false],
    ["is not there", undefined, false],
  ] as const) {
    test(`a v2 tree beside v1 that ${what}: ${must ? "it must be hidden" : "nothing to hide"}`, async () => {
      const file = path.join(home, "controllers");
      if (controllers === undefined) await rm(file, { force: true });
      else await writeFile(file, controllers);
      assert.equal(await mustNotSeeCgroup2(file), must);
    });
  }
});
