// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import { NativeGate } from "../os/native-gate.ts";

const folder = import.meta.dirname;
const source = path.resolve(folder, "../..");

/** Runs a program that has `startThread`, `endThread` and `entry`, a module that a thread can run. */
function run(entry: string, program: string): string {
  const text = `
    import { startThread, endThread } from ${JSON.stringify(path.join(folder, "thread.ts"))};
    const entry = new URL("data:text/javascript," + encodeURIComponent(${JSON.stringify(entry)}));
    const start = () => startThread(entry, { name: "test", heapMiB: 24 });
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const begun = (thread) => new Promise((resolve) => thread.once("message", resolve));
    ${program}`;
  const options = { encoding: "utf8", stdio: "pipe", timeout: 120_000 } as const;
  return execFileSync(process.execPath, ["--input-type=module", "-e", text], options);
}

const bindsC = `
  import { libc } from ${JSON.stringify(new URL("../os/libc.ts", import.meta.url))};
  import { parentPort } from "node:worker_threads";
  parentPort.postMessage("begins");
  for (let round = 0; round < 3000; round += 1) libc("int getpid()")();
  setInterval(() => {}, 1000);`;

suite("threads", () => {
  test("one that is ended while it loads native code does not take the process with it", () => {
    const out = run(
      bindsC,
      `for (let round = 0; round < 20; round += 1) {
        const thread = start();
        await begun(thread);
        await pause(round / 2);
        await endThread(thread);
      }
      console.log("lives");`,
    );
    assert.equal(out, "lives\n");
  });

  test("nor does the exit of a process whose threads load it", () => {
    for (let ms = 0; ms < 3; ms += 1) {
      const out = run(
        bindsC,
        `const threads = [start(), start()];
        await Promise.all(threads.map(begun));
        await pause(${ms});
        process.on("exit", () => console.log("exits"));
        process.exit(0);`,
      );
      assert.equal(out, "exits\n");
    }
  });

  test("one that computes without end is ended, and once more is no error", () => {
    const out = run(
      "import { parentPort } from 'node:worker_threads'; parentPort.postMessage(0); for (;;);",
      `const thread = start();
      await begun(thread);
      await endThread(thread);
      thread.removeAllListeners(); // as whoever has given it up
      await endThread(thread);
      console.log(thread.threadId);`,
    );
    assert.equal(out, "-1\n");
  });

  test("all are started and ended here", async () => {
    const found: string[] = [];
    for await (const file of glob("**/*.ts", { cwd: source })) {
      if (file.endsWith(".test.ts")) continue;
      const text = await readFile(path.join(source, file), "utf8");
      if (/\bnew Worker\(|worker\w*\??\.terminate\(/i.test(text)) found.push(file);
    }
    assert.deepEqual(found, ["base/threads/thread.ts"]);
  });
});

suite("a gate", () => {
  test("is closed once what must not be interrupted has ended", async () => {
    const memory = new SharedArrayBuffer(4);
    const [own, others] = [new NativeGate(memory), new NativeGate(memory)];
    let isClosed = false;
    const closing = own.pass(() => {
      const closed = others.close().then(() => (isClosed = true));
      others.closeNow(1); // gives up
      return closed;
    });
    assert.equal(isClosed, false);
    assert.equal(await closing, true);
  });

  test("is open again after an error", () => {
    const gate = new NativeGate();
    assert.throws(() => gate.pass(() => assert.fail("broken")), /broken/);
    assert.equal(
      gate.pass(() => "in"),
      "in",
    );
  });
});
