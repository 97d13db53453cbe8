// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { reap } from "./reaper.ts";
import { spawnProcess } from "./spawn.ts";

test("a child that ended before anybody waited for it is told of at once", async (t) => {
  // Not by a look that is taken again after a while: no time passes here.
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  for (const exitCode of [0, 3]) {
    const pid = spawnProcess({
      path: "/bin/sh",
      argv: ["sh", "-c", `exit ${exitCode}`],
      env: {},
      cwd: "/",
      stdio: [0, 1, 2],
    });
    while (!readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ")) {
      // In the turn of the spawn, as on a machine that runs others first.
    }
    const ending = await reap(pid, { keepsAlive: true });
    assert.deepEqual(ending, { exitCode, signal: undefined });
  }
});

test("each of several children is told of, beside one that others are to reap", async () => {
  const start = (script: string): number =>
    spawnProcess({
      path: "/bin/sh",
      argv: ["sh", "-c", script],
      env: {},
      cwd: "/",
      stdio: [0, 1, 2],
    });
  const living = start("exec sleep 60");
  const lives = reap(living, { keepsAlive: false });
  start("exit 9"); // nobody of ours: it stays a zombie until this process ends
  const endings = [1, 2, 3].map((code) => reap(start(`exit ${code}`), { keepsAlive: true }));
  assert.deepEqual(
    (await Promise.all(endings)).map(({ exitCode }) => exitCode),
    [1, 2, 3],
  );
  process.kill(living, "SIGTERM");
  assert.deepEqual(await lives, { exitCode: undefined, signal: "SIGTERM" });
});
