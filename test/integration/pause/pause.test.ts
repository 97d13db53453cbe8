// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../../src/base/process.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";

const pause = pauseBinaryPath();
const skip = existsSync(pause) ? false : `needs ${pause}`;
const needsRoot = process.getuid?.() === 0 ? skip : "needs root";

test("pause -v prints its version", { skip }, async () => {
  const { stdout } = await run(pause, ["-v"]);
  assert.match(stdout.toString(), /^berth-pause \d/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`pause exits 0 on ${signal}`, { skip: needsRoot }, async () => {
    const child = spawn(pause, { stdio: "ignore" });
    const exited = new Promise((resolve) => child.once("exit", (code, by) => resolve([code, by])));
    await until(() => isWaiting(child.pid ?? 0));
    child.kill(signal);
    assert.deepEqual(await exited, [0, null]);
  });
}

// In a PID namespace of its own, where the kernel drops signals that PID 1 does not handle.
test("pause as PID 1 reaps orphans and obeys SIGTERM from inside", {
  skip: needsRoot,
}, async () => {
  const script = `(sleep 0 & exec true) ; sh -c 'sleep 0.05 &' ; sleep 0.3
    zombies=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)
    echo "zombies=$zombies"; kill -TERM 1; sleep 5; echo "still there"`;
  const { stdout } = await run(
    "unshare",
    [
      "--pid",
      "--fork",
      "--mount-proc",
      "sh",
      "-c",
      `sh -c '${script.replaceAll("'", "'\\''")}' & exec "$0"`,
      pause,
    ],
    { timeoutMs: 60_000 },
  );
  assert.equal(stdout.toString().trim(), "zombies=0");
});

async function until(claim: () => boolean): Promise<void> {
  while (!claim()) await sleep(5);
}

/** /proc shows no blocked signal during the wait: the call lends them out. Its number tells. */
function isWaiting(pid: number): boolean {
  const number = process.arch === "x64" ? "128" : "137";
  return readFileSync(`/proc/${pid}/syscall`, "utf8").startsWith(`${number} `);
}
