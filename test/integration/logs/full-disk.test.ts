// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { type Logger, silentLogger } from "../../../src/base/logger.ts";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { WorkerContainerLogs } from "../../../src/logs/container-logs.ts";
import { parseCriLog } from "../../support/cri-log.ts";
import { scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const call = { signal: AbortSignal.timeout(300_000) };
const skip = process.getuid?.() === 0 ? false : "needs root";

function write(fd: number, bytes: Buffer): number {
  try {
    return fs.writeSync(fd, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}

test("a full disk costs lines, is told of once, and ends when there is room", {
  skip,
}, async () => {
  await using place = await scratch();
  const disk = await place.folder("disk");
  mount({ source: "tmpfs", target: disk, type: "tmpfs", flags: 0, data: "size=128k" });
  using _mounted = { [Symbol.dispose]: () => void unmount(disk, { lazy: true }) };
  const told: string[] = [];
  const tell = (fields: object, message: string): void => {
    told.push(`${message} ${"errno" in fields ? String(fields.errno) : ""}`.trim());
  };
  const log: Logger = { ...silentLogger, warn: tell, error: tell };
  await using logs = new WorkerContainerLogs({
    folder: path.join(place.path, "fifo"),
    maxLineBytes: 16_384,
    log,
    holder: "",
  });
  const logPath = path.join(disk, "pod", "0.log");
  const options = { containerId: "full", logPath, logFolder: disk, terminal: true, stdin: false };
  await using container = await logs.open(options, call);
  const fd = fs.openSync(container.config.stdout, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  const ballast = path.join(disk, "ballast");
  fs.writeFileSync(ballast, Buffer.alloc(64 * 1024));

  const line = Buffer.from(`${"x".repeat(999)}\n`);
  await until("output is lost", () => {
    for (let index = 0; index < 60; index++) write(fd, line);
    return container.counts().lostBytes > 200_000;
  });
  assert.deepEqual(told, ["container output is being lost: log file cannot be written ENOSPC"]);
  const torn = fs.readFileSync(logPath);

  fs.rmSync(ballast);
  await until("the log goes on", () => {
    write(fd, Buffer.from("after\n"));
    return fs.readFileSync(logPath, "utf8").includes("after");
  });
  fs.closeSync(fd);
  await container.drained(call);
  assert.equal(told[1], "container log is being written again");
  assert.equal(told.length, 2);
  const text = fs.readFileSync(logPath, "utf8");
  assert.ok(text.startsWith(torn.toString()));
  for (const { text: content } of parseCriLog(text)) assert.match(content, /^(?:x{999}|after)$/);
  const { bytes, lines } = container.counts();
  assert.deepEqual([lines, bytes], [parseCriLog(text).length, text.length]);
});
