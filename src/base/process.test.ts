// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { identify, isAlive, killProcess, waitUntilGone } from "./os/proc.ts";
import { converse, ProcessFault, run, spawnDetached } from "./process.ts";

test("run answers both streams and takes arguments with spaces and input", async () => {
  const script = 'read line; echo "$line $1"; echo warn >&2';
  const result = await run("sh", ["-c", script, "sh", "a  b"], { input: "in\n" });
  assert.equal(result.stdout.toString(), "in a  b\n");
  assert.equal(result.stderr.toString(), "warn\n");
  assert.equal(result.exitCode, 0);
});

test("run merges stderr into stdout when asked", async () => {
  const { stdout } = await run("sh", ["-c", "echo a; echo b >&2; echo c"], { mergeStderr: true });
  assert.equal(stdout.toString(), "a\nb\nc\n");
});

test("run gives the child its directory and exactly its environment", async () => {
  const { stdout } = await run("/bin/sh", ["-c", "pwd; echo $GIVEN $HOME"], {
    cwd: "/usr",
    env: { GIVEN: "x y", GONE: undefined },
  });
  assert.equal(stdout.toString(), "/usr\nx y\n");
});

test("run hands on no descriptor above 2", async () => {
  const { stdout } = await run("sh", ["-c", "ls /proc/self/fd"]);
  // ls itself has the folder open as 3.
  assert.deepEqual(stdout.toString().trim().split("\n"), ["0", "1", "2", "3"]);
});

test("run carries large input and output", async () => {
  const input = Buffer.alloc(1_000_000, "x");
  const { stdout } = await run("cat", [], { input });
  assert.equal(stdout.equals(input), true);
});

test("run does not wait for grandchildren that keep the streams", async () => {
  const { stdout } = await run("sh", ["-c", "sleep 30 & echo $!"], { timeoutMs: 10_000 });
  const left = identify(Number(stdout.toString()));
  assert.ok(left);
  killProcess(left, "SIGKILL");
});

const failures: {
  name: string;
  file: string;
  args: string[];
  options?: Parameters<typeof run>[2];
  expect: object;
}[] = [
  {
    name: "a bad exit code",
    file: "sh",
    args: ["-c", "echo '{\"code\":7}'; echo sorry >&2; exit 3"],
    expect: {
      code: "UNKNOWN",
      exitCode: 3,
      stderrTail: "sorry",
      message: "sh exited with 3: sorry",
    },
  },
  {
    name: "a signal",
    file: "sh",
    args: ["-c", "kill -9 $$"],
    expect: { code: "UNKNOWN", signal: "SIGKILL" },
  },
  { name: "no such program", file: "no-such-program", args: [], expect: { code: "NOT_FOUND" } },
  { name: "no such path", file: "/no/such/program", args: [], expect: { code: "NOT_FOUND" } },
  { name: "no permission", file: "/etc/passwd", args: [], expect: { code: "PERMISSION_DENIED" } },
  {
    name: "no such directory",
    file: "true",
    args: [],
    options: { cwd: "/no/such" },
    expect: { code: "NOT_FOUND" },
  },
  {
    name: "too much output",
    file: "sh",
    args: ["-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done"],
    options: { maxOutputBytes: 100 },
    expect: { code: "RESOURCE_EXHAUSTED" },
  },
  {
    name: "a timeout",
    file: "sleep",
    args: ["30"],
    options: { timeoutMs: 10 },
    expect: { code: "DEADLINE_EXCEEDED", signal: "SIGKILL" },
  },
  {
    name: "an abort beforehand",
    file: "true",
    args: [],
    options: { signal: AbortSignal.abort() },
    expect: { code: "CANCELLED" },
  },
];

for (const { name, file, args, options, expect } of failures) {
  test(`run fails on ${name}`, async () => {
    await assert.rejects(run(file, args, options), (error) => {
      assert.ok(error instanceof ProcessFault);
      for (const [key, value] of Object.entries(expect)) {
        assert.deepEqual(error[key as keyof ProcessFault], value, key);
      }
      return true;
    });
  });
}

test("run keeps the output of a failed program", async () => {
  await assert.rejects(run("sh", ["-c", "echo out; exit 1"]), (error) => {
    return error instanceof ProcessFault && error.stdout.toString() === "out\n";
  });
});

test("run keeps the output of a program that ended while this thread was held up", async () => {
  const hold = (ms: number): void =>
    void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  // After this come the loop's timers, before it looks at descriptors again.
  await new Promise<void>((resolve) => setImmediate(() => resolve()));
  const running = run("/bin/sh", ["-c", "echo last words"]);
  hold(300); // it ends
  process.emit("SIGCHLD", "SIGCHLD");
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve(); // its end is known
  hold(150);
  assert.equal((await running).stdout.toString(), "last words\n");
});

test("run answers any exit code when asked", async () => {
  assert.equal((await run("sh", ["-c", "exit 9"], { anyExitCode: true })).exitCode, 9);
});

test("many programs at once all end", async () => {
  const outputs = await Promise.all(
    Array.from({ length: 30 }, async (_each, index) => {
      return (await run("echo", [String(index)])).stdout.toString().trim();
    }),
  );
  assert.deepEqual(
    outputs,
    outputs.map((_each, index) => String(index)),
  );
});

test("spawnDetached starts a program that can be signalled and tells its end", async () => {
  const child = spawnDetached("sleep", ["30"]);
  const identity = identify(child.pid);
  assert.ok(identity);
  assert.equal(isAlive(identity), true);
  child.kill("SIGTERM");
  assert.equal((await child.exited).signal, "SIGTERM");
  assert.equal(await waitUntilGone(identity, AbortSignal.timeout(60_000)), true);
  assert.throws(() => spawnDetached("no-such-program", []), { code: "NOT_FOUND" });
});

test("converse answers a line with a line, until the program ends", async () => {
  const call = { signal: AbortSignal.timeout(60_000), silenceMs: 60_000 };
  const script = 'while read -r line; do [ "$line" = bye ] && exit 4; echo "got $line"; done';
  using talk = converse("sh", ["-c", script]);
  assert.equal(await talk.ask("a  b", call), "got a  b");
  assert.equal(await talk.ask("x".repeat(100_000), call), `got ${"x".repeat(100_000)}`);
  await assert.rejects(talk.ask("bye", call), { code: "UNKNOWN", exitCode: 4 });
  await assert.rejects(talk.ask("more", call), { code: "UNKNOWN", exitCode: 4 });
});

test("converse kills the program on an abort, and is through once it is gone", async () => {
  const abort = new AbortController();
  const call = { signal: abort.signal, silenceMs: 60_000 };
  using talk = converse("sh", ["-c", "read -r line; echo $$; read -r line; sleep 100"]);
  const pid = Number(await talk.ask("pid", call));
  const silent = talk.ask("nothing", call);
  abort.abort();
  await assert.rejects(silent, { code: "CANCELLED" });
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("converse takes lines of one dot for signs of life, and kills a program that is silent", async () => {
  const call = { signal: AbortSignal.timeout(60_000), silenceMs: 3000 };
  const script =
    "read -r line; for n in 1 2 3 4 5 6; do sleep 0.6; echo .; done; echo $$; read -r line; sleep 100";
  using talk = converse("sh", ["-c", script]);
  const pid = Number(await talk.ask("be slow", call));
  assert.ok(pid > 0);
  const silent = talk.ask("say nothing", call);
  await assert.rejects(silent, { code: "DEADLINE_EXCEEDED", message: "sh got nowhere for 3 s" });
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("converse stops a program, whose silence does not count then", async () => {
  const call = { signal: AbortSignal.timeout(60_000), silenceMs: 3000 };
  using talk = converse("sh", ["-c", "while read -r line; do sleep 0.2; echo $line; done"]);
  assert.equal(await talk.ask("here", call), "here");
  talk.pause(true);
  const answer = talk.ask("later", call);
  assert.equal(await Promise.race([answer, sleep(4000, "stopped")]), "stopped");
  talk.pause(false);
  assert.equal(await answer, "later");
  talk.pause(true);
  await assert.rejects(talk.ask("never", { ...call, signal: AbortSignal.timeout(10) }), {
    code: "DEADLINE_EXCEEDED",
  });
});

test("run kills a program that is silent for too long, and lets one be that is not", async () => {
  const talking = "for n in 1 2 3 4 5 6; do sleep 0.6; echo $n; done";
  assert.equal((await run("sh", ["-c", talking], { silenceMs: 3000 })).exitCode, 0);
  await assert.rejects(run("sleep", ["100"], { silenceMs: 300 }), { code: "DEADLINE_EXCEEDED" });
});
