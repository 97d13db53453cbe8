// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { silentLogger } from "../base/logger.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { WorkerContainerLogs } from "./container-logs.ts";
import type { ContainerLogs } from "./ports.ts";

const call = { signal: AbortSignal.timeout(60_000) };

/** The shim's end of an output FIFO. */
class Writer {
  readonly #socket: net.Socket;

  constructor(fifo: string) {
    const fd = fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
    this.#socket = new net.Socket({ fd, readable: false, writable: true });
  }

  write(data: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(data, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(() => resolve()));
  }
}

function setUp(t: TestContext, maxLineBytes = 16_384): { root: string; logs: ContainerLogs } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth logs "));
  const logs = new WorkerContainerLogs({
    folder: path.join(root, "fifo"),
    maxLineBytes,
    log: silentLogger,
    holder: "",
  });
  t.after(async () => {
    await logs[Symbol.asyncDispose]();
    removeFolderSync(root);
  });
  return { root, logs };
}

function options(root: string, containerId = "0123456789abcdef0123") {
  const logPath = path.join(root, "pod", "c", "0.log");
  return { containerId, logPath, logFolder: path.join(root, "pod"), terminal: false, stdin: false };
}

/** What this process has open: files below a folder by their paths, and pipes. */
function openFiles(folder: string): string[] {
  return fs
    .readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        return [fs.readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return []; // the one that read the folder
      }
    })
    .filter((target) => target.startsWith(folder) || target.startsWith("pipe:"))
    .map((target) => target.replace(/pipe:.*/, "pipe"))
    .sort();
}

/** `stdout F content` of each line. */
function readLog(file: string): string[] {
  const lines = fs.readFileSync(file, "utf8").split("\n");
  assert.equal(lines.pop(), "");
  return lines.map((line) => {
    assert.match(line, /^\S{30} (?:stdout|stderr) [FP] /);
    return line.slice(31);
  });
}

async function until(claim: () => boolean): Promise<void> {
  while (!claim()) {
    call.signal.throwIfAborted();
    await sleep(2);
  }
}

test("ContainerLogs writes both streams, splits long lines and tags the unfinished last one", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = options(root);
  await using log = await logs.open(wanted, call);
  assert.ok(log.config.stdout.length < path.join(root, "fifo").length + 32);
  assert.equal(fs.statSync(path.dirname(log.config.stdout)).mode & 0o777, 0o700);
  const stdout = new Writer(log.config.stdout);
  const stderr = new Writer(log.config.stderr);
  await stdout.write("hel");
  await stderr.write("warning\r\n");
  await until(() => fs.existsSync(wanted.logPath) && fs.statSync(wanted.logPath).size > 0);
  await stdout.write(`lo\n${"x".repeat(40_000)}\ntail`);
  await stdout.close();
  await stderr.close();
  await log.drained(call);
  assert.deepEqual(readLog(wanted.logPath), [
    "stderr F warning",
    "stdout F hello",
    `stdout P ${"x".repeat(16_384)}`,
    `stdout P ${"x".repeat(16_384)}`,
    `stdout F ${"x".repeat(40_000 - 2 * 16_384)}`,
    "stdout P tail",
  ]);
  const { lines, bytes, lostBytes } = log.counts();
  assert.deepEqual([lines, lostBytes], [6, 0]);
  assert.equal(bytes, fs.statSync(wanted.logPath).size);
});

test("ContainerLogs gives a terminal one stream, and removes its FIFOs when disposed", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = { ...options(root), terminal: true, stdin: true };
  const log = await logs.open(wanted, call);
  const folder = path.dirname(log.config.stdout);
  assert.equal(log.config.stderr, "");
  assert.deepEqual(fs.readdirSync(folder), ["journal", "stdin", "stdout"]);
  const stdout = new Writer(log.config.stdout);
  await stdout.write("a\r\n");
  await stdout.close();
  await log.drained(call);
  assert.deepEqual(readLog(wanted.logPath), ["stdout F a"]);
  await log[Symbol.asyncDispose]();
  await log[Symbol.asyncDispose]();
  assert.deepEqual(fs.readdirSync(path.dirname(folder)), []);
});

test("ContainerLogs keeps stdin open until closeStdin", async (t) => {
  const { root, logs } = setUp(t);
  await using log = await logs.open({ ...options(root), stdin: true }, call);
  const reader = fs.openSync(log.config.stdin, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(reader));
  assert.throws(() => fs.readSync(reader, Buffer.alloc(1)), { code: "EAGAIN" });
  await log.closeStdin();
  await log.closeStdin();
  assert.equal(fs.readSync(reader, Buffer.alloc(1)), 0);
});

test("ContainerLogs rotates under load without losing or doubling a line", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = options(root);
  await using log = await logs.open(wanted, call);
  const stdout = new Writer(log.config.stdout);
  const stderr = new Writer(log.config.stderr);
  const total = 60_000;
  const flood = async (writer: Writer): Promise<void> => {
    for (let from = 0; from < total; from += 500) {
      const lines = Array.from({ length: 500 }, (_, index) => `line ${from + index}\n`).join("");
      await writer.write(lines.slice(0, 1001));
      await writer.write(lines.slice(1001));
    }
    await writer.close();
  };
  const state = { running: true };
  const flooded = Promise.all([flood(stdout), flood(stderr)]).then(() => (state.running = false));
  const files: string[] = [];
  while (state.running && files.length < 50) {
    const rotated = `${wanted.logPath}.${files.length}`;
    fs.renameSync(wanted.logPath, rotated);
    files.push(rotated);
    await log.reopen(call);
    await sleep(5);
  }
  await flooded;
  await log.drained(call);
  const all = [...files, wanted.logPath].flatMap(readLog);
  for (const stream of ["stdout", "stderr"]) {
    const seen = all.filter((line) => line.startsWith(stream));
    assert.equal(seen.length, total);
    for (const [index, line] of seen.entries()) assert.equal(line, `${stream} F line ${index}`);
  }
  assert.ok(files.length > 1);
});

test("ContainerLogs keeps writing the old file when a reopen fails", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = options(root);
  await using log = await logs.open(wanted, call);
  const stdout = new Writer(log.config.stdout);
  const stderr = new Writer(log.config.stderr);
  const folder = path.dirname(wanted.logPath);
  fs.renameSync(folder, `${folder}-moved`);
  await assert.rejects(log.reopen(call), {
    code: "INTERNAL",
    message: /"0123456789abcdef0123": ENOENT$/,
  });
  await stdout.write("still here\n");
  await Promise.all([stdout.close(), stderr.close()]);
  await log.drained(call);
  assert.deepEqual(readLog(path.join(`${folder}-moved`, "0.log")), ["stdout F still here"]);
  assert.equal(fs.existsSync(folder), false);
});

test("ContainerLogs resumes after a restart of the daemon, with what the FIFOs held meanwhile", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = options(root);
  const log = await logs.open(wanted, call);
  const { config } = log;
  const stdout = new Writer(config.stdout);
  const stderr = new Writer(config.stderr);
  // As a shim does: it holds the read ends as well, so the FIFOs live on without us.
  const held = [config.stdout, config.stderr].map((fifo) =>
    fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK),
  );
  t.after(() => held.forEach((fd) => fs.closeSync(fd)));
  await stdout.write("before\nunfinished");
  await until(() => fs.readFileSync(wanted.logPath, "utf8").includes("before"));
  await logs[Symbol.asyncDispose]();
  await stdout.write(" while away\n");

  const next = new WorkerContainerLogs({
    folder: path.join(root, "fifo"),
    maxLineBytes: 16_384,
    log: silentLogger,
    holder: "",
  });
  t.after(() => next[Symbol.asyncDispose]());
  await using resumed = await next.resume({ ...wanted, config, stopped: false }, call);
  await stderr.write("after\n");
  await Promise.all([stdout.close(), stderr.close()]);
  await resumed.drained(call);
  assert.deepEqual(readLog(wanted.logPath), [
    "stdout F before",
    "stdout P unfinished",
    "stdout F  while away",
    "stderr F after",
  ]);
});

test("ContainerLogs resumes a stopped container, whose end nobody announces any more", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = options(root);
  const first = await logs.open(wanted, call);
  const { config } = first;
  const stdout = new Writer(config.stdout);
  const held = fs.openSync(config.stdout, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(held));
  await logs[Symbol.asyncDispose]();
  await stdout.write("last words");
  await stdout.close();

  const next = new WorkerContainerLogs({
    folder: path.join(root, "fifo"),
    maxLineBytes: 16_384,
    log: silentLogger,
    holder: "",
  });
  t.after(() => next[Symbol.asyncDispose]());
  await using resumed = await next.resume({ ...wanted, config, stopped: true }, call);
  await resumed.drained(call);
  assert.deepEqual(readLog(wanted.logPath), ["stdout P last words"]);
});

test("ContainerLogs resumes without FIFOs and without a log folder", async (t) => {
  const { root, logs } = setUp(t);
  const folder = path.join(root, "fifo", "gone");
  const config = {
    stdin: path.join(folder, "stdin"),
    stdout: path.join(folder, "stdout"),
    stderr: path.join(folder, "stderr"),
    terminal: false,
  };
  fs.writeFileSync(path.join(root, "pod"), "a file where the folder should be");
  const wanted = { ...options(root), stdin: true };
  await using log = await logs.resume({ ...wanted, config, stopped: false }, call);
  await log.drained(call);
});

test("ContainerLogs removes the FIFOs that belong to no log", async (t) => {
  const { root, logs } = setUp(t);
  assert.equal(await logs.removeOrphans(), 0);
  await using log = await logs.open(options(root), call);
  fs.mkdirSync(path.join(root, "fifo", "left-by-a-crash", "deep"), { recursive: true });
  const kept = path.join(root, "fifo", "0123456789ab-Xy12Zz");
  fs.mkdirSync(kept);
  assert.equal(await logs.removeOrphans([`0123456789ab${"c".repeat(52)}`]), 1);
  assert.equal(await logs.removeOrphans(), 1);
  assert.deepEqual(fs.readdirSync(path.join(root, "fifo")), [
    path.basename(path.dirname(log.config.stdout)),
  ]);
});

test("ContainerLogs discards with an empty path", async (t) => {
  const { root, logs } = setUp(t);
  await using log = await logs.open({ ...options(root), logPath: "" }, call);
  const writers = [new Writer(log.config.stdout), new Writer(log.config.stderr)];
  await writers[0]?.write("into the void\n");
  await Promise.all(writers.map((writer) => writer.close()));
  await log.drained(call);
  assert.equal(log.counts().lines, 1);
  await log.reopen(call);
});

test("ContainerLogs leaves nothing behind when the log file cannot be opened", async (t) => {
  const { root, logs } = setUp(t);
  fs.writeFileSync(path.join(root, "pod"), "");
  await assert.rejects(logs.open(options(root), call), {
    code: "INTERNAL",
    message: /cannot open log/,
  });
  assert.deepEqual(fs.readdirSync(path.join(root, "fifo")), []);
});

test("ContainerLog.drained stops waiting when aborted, and only that", async (t) => {
  const { root, logs } = setUp(t);
  const wanted = options(root);
  await using log = await logs.open(wanted, call);
  const writers = [new Writer(log.config.stdout), new Writer(log.config.stderr)];
  const aborter = new AbortController();
  const wait = log.drained({ signal: aborter.signal });
  aborter.abort();
  await assert.rejects(wait, { name: "AbortError" });
  await writers[0]?.write("a\n");
  await Promise.all(writers.map((writer) => writer.close()));
  await log.drained(call);
  assert.deepEqual(readLog(wanted.logPath), ["stdout F a"]);
});

/** Logs whose worker dies whenever `kill` is called, which settles once it has. */
function mortalLogs(t: TestContext) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth logs "));
  const poison = path.join(root, "poison");
  const mortal = path.join(root, "mortal-worker.mjs");
  fs.writeFileSync(
    mortal,
    `import fs from "node:fs";
     import ${JSON.stringify(new URL("./worker.ts", import.meta.url).href)};
     const timer = setInterval(() => {
       if (!fs.existsSync(${JSON.stringify(poison)})) return;
       fs.rmSync(${JSON.stringify(poison)});
       process.exit(3);
     }, 5);`,
  );
  let deaths = 0;
  const noticing = {
    ...silentLogger,
    error: () => {
      deaths += 1;
    },
  };
  const logs = new WorkerContainerLogs({
    folder: path.join(root, "fifo"),
    maxLineBytes: 16_384,
    log: noticing,
    holder: "",
    worker: pathToFileURL(mortal),
  });
  t.after(async () => {
    await logs[Symbol.asyncDispose]();
    removeFolderSync(root);
  });
  const kill = async (): Promise<void> => {
    const before = deaths;
    fs.writeFileSync(poison, "");
    // A thread that is ending may still take what comes, and write it no more.
    await until(() => deaths > before);
  };
  return { root, logs, kill };
}

test("ContainerLogs goes on with another worker when the first one dies", async (t) => {
  const { root, logs, kill } = mortalLogs(t);
  const wanted = options(root);
  await using log = await logs.open(wanted, call);
  const stdout = new Writer(log.config.stdout);
  const stderr = new Writer(log.config.stderr);
  // As a shim does: without a reader the FIFO would break while the worker is away.
  const held = fs.openSync(log.config.stdout, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(held));
  await stdout.write("first\n");
  await until(() => fs.readFileSync(wanted.logPath, "utf8").includes("first"));
  await kill();
  await stdout.write("second\n");
  await until(() => fs.readFileSync(wanted.logPath, "utf8").includes("second"));
  await log.reopen(call);
  await Promise.all([stdout.close(), stderr.close()]);
  await log.drained(call);
  assert.deepEqual(readLog(wanted.logPath), ["stdout F first", "stdout F second"]);
});

test("a log worker that dies leaves no descriptor open", async (t) => {
  const { root, logs, kill } = mortalLogs(t);
  const wanted = options(root);
  await using log = await logs.open(wanted, call);
  await using _discarded = await logs.open(
    { ...options(root, "f".repeat(20)), logPath: "", logFolder: "" },
    call,
  );
  const stdout = new Writer(log.config.stdout);
  // Without a writer it is at its end, and the worker closes it sooner or later.
  const stderr = new Writer(log.config.stderr);
  const held = fs.openSync(log.config.stdout, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(held));
  const says = async (word: string): Promise<void> => {
    await stdout.write(`${word}\n`);
    await until(() => fs.readFileSync(wanted.logPath, "utf8").includes(word));
  };
  await says("first");
  await kill();
  await says("second"); // what is loaded and kept with the first death is there
  const before = openFiles(root);
  await kill();
  await says("third");
  await until(() => openFiles(root).length <= before.length);
  assert.deepEqual(openFiles(root), before);
  await Promise.all([stdout.close(), stderr.close()]);
});
