// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { silentLogger } from "../base/logger.ts";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { WorkerContainerLogs } from "./container-logs.ts";
import type { ContainerLog } from "./ports.ts";

const call = { signal: AbortSignal.timeout(60_000) };

/** A container's two output streams as its shim holds them, and its log. */
class Rig {
  readonly root = fs.mkdtempSync(path.join(os.tmpdir(), "berth tap "));
  readonly stdout: net.Socket;
  readonly stderr: net.Socket;
  readonly log: ContainerLog;
  #readers = 0;

  private constructor(log: ContainerLog) {
    this.log = log;
    this.stdout = writer(log.config.stdout);
    this.stderr = writer(log.config.stderr);
  }

  static async open(t: TestContext): Promise<Rig> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth tap logs "));
    const logs = new WorkerContainerLogs({
      folder,
      maxLineBytes: 16_384,
      holder: "",
      log: silentLogger,
    });
    const logPath = path.join(folder, "0.log");
    const log = await logs.open(
      { containerId: "c1", logPath, logFolder: folder, terminal: false, stdin: false },
      call,
    );
    const rig = new Rig(log);
    t.after(async () => {
      rig.stdout.destroy();
      rig.stderr.destroy();
      await logs[Symbol.asyncDispose]();
      removeFolderSync(folder);
      removeFolderSync(rig.root);
    });
    return rig;
  }

  /** A FIFO with its read end open, and what has come out of it. */
  reader(): { readonly fifo: string; readonly socket: net.Socket; text(): Promise<string> } {
    this.#readers += 1;
    const fifo = path.join(this.root, String(this.#readers));
    makeFifo(fifo);
    const fd = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    const socket = new net.Socket({ fd, readable: true, writable: false });
    socket.on("error", () => {});
    return {
      fifo,
      socket,
      text: async () => {
        const pieces: Buffer[] = [];
        socket.on("data", (piece: Buffer) => pieces.push(piece));
        await once(socket, "close");
        return Buffer.concat(pieces).toString();
      },
    };
  }
}

function writer(fifo: string): net.Socket {
  const fd = fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  return new net.Socket({ fd, readable: false, writable: true });
}

function write(socket: net.Socket, data: string | Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(data, (error) => (error ? reject(error) : resolve()));
  });
}

test("taps get all output of the streams they want, to the end", async (t) => {
  const rig = await Rig.open(t);
  const [both, errors, only] = [rig.reader(), rig.reader(), rig.reader()];
  const first = await rig.log.tap({ stdout: both.fifo, stderr: errors.fifo }, call);
  await write(rig.stdout, "one\n");
  await write(rig.stderr, "oops\n");
  const texts = [both.text(), errors.text()];
  const second = await rig.log.tap({ stdout: "", stderr: only.fifo }, call);
  const last = only.text();
  await write(rig.stdout, "two, unfinished");
  rig.stdout.end();
  rig.stderr.end("end\n");
  assert.deepEqual(await Promise.all(texts), ["one\ntwo, unfinished", "oops\nend\n"]);
  assert.match(await last, /end\n$/);
  assert.deepEqual([await first.ended, await second.ended], ["end", "end"]);
});

test("a tap of an output that is over ends at once", async (t) => {
  const rig = await Rig.open(t);
  rig.stdout.end();
  rig.stderr.end();
  await rig.log.drained(call);
  const reader = rig.reader();
  const tap = await rig.log.tap({ stdout: reader.fifo, stderr: "" }, call);
  assert.equal(await reader.text(), "");
  assert.equal(await tap.ended, "end");
});

test("a reader that stays behind is cut off; the log and the others get everything", async (t) => {
  const rig = await Rig.open(t);
  const [stuck, quick] = [rig.reader(), rig.reader()];
  const slow = await rig.log.tap({ stdout: stuck.fifo, stderr: "" }, call);
  const other = await rig.log.tap({ stdout: quick.fifo, stderr: "" }, call);
  const text = quick.text();
  const line = `${"x".repeat(1023)}\n`;
  const lines = 12 * 1024;
  for (let left = lines; left > 0; left -= 64) await write(rig.stdout, line.repeat(64));
  rig.stdout.end();
  rig.stderr.end();
  assert.equal(await slow.ended, "slow");
  assert.equal((await text).length, lines * line.length);
  assert.equal(await other.ended, "end");
  await rig.log.drained(call);
  assert.equal(rig.log.counts().lines, lines);
  stuck.socket.destroy();
});

test("a reader that leaves ends its tap only", async (t) => {
  const rig = await Rig.open(t);
  const [leaving, staying] = [rig.reader(), rig.reader()];
  const left = await rig.log.tap({ stdout: leaving.fifo, stderr: "" }, call);
  const stays = await rig.log.tap({ stdout: staying.fifo, stderr: "" }, call);
  leaving.socket.destroy();
  await once(leaving.socket, "close");
  const text = staying.text();
  await write(rig.stdout, "one\n");
  assert.equal(await left.ended, "gone");
  await stays[Symbol.asyncDispose]();
  assert.equal(await text, "one\n");
  await write(rig.stdout, "two\n");
});

test("a tap without a reader is refused", async (t) => {
  const rig = await Rig.open(t);
  const fifo = path.join(rig.root, "nobody");
  makeFifo(fifo);
  await assert.rejects(rig.log.tap({ stdout: fifo, stderr: "" }, call), {
    code: "INTERNAL",
    message: /container "c1": ENXIO$/,
  });
});
