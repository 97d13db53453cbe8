// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { WorkerContainerLogs } from "../../../src/logs/container-logs.ts";
import type { ContainerLog, ContainerLogs } from "../../../src/logs/ports.ts";
import { frozenMount } from "../../support/frozen-mount.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { mountSmallDisk } from "../../support/small-disk.ts";
import { until } from "../../support/until.ts";

const call = { signal: AbortSignal.timeout(300_000) };

/** A log and the shim's end of its stdout. */
interface Written extends Disposable {
  readonly log: ContainerLog;
  readonly logPath: string;
  say(text: string): void;
  /** The log's lines, without their times. */
  lines(): Promise<string[]>;
}

suite("a disk of logs that hangs", () => {
  const logsIn = (place: Scratch, hangMs?: number): ContainerLogs =>
    new WorkerContainerLogs({
      folder: path.join(place.path, "fifo"),
      maxLineBytes: 16_384,
      log: silentLogger,
      holder: "",
      ...(hangMs === undefined ? { answerMs: 300 } : { hangMs }),
    });

  const optionsIn = (folder: string, containerId: string) => ({
    containerId,
    logPath: path.join(folder, "pod", `${containerId}.log`),
    logFolder: folder,
    terminal: true,
    stdin: false,
  });

  const open = async (logs: ContainerLogs, folder: string, id: string): Promise<Written> => {
    const options = optionsIn(folder, id);
    const log = await logs.open(options, call);
    // Both ends: as a shim has them, so that the FIFO keeps what nobody reads just now.
    const fd = openSync(log.config.stdout, constants.O_RDWR | constants.O_NONBLOCK);
    return {
      log,
      logPath: options.logPath,
      say: (text) => void writeSync(fd, text),
      lines: async () =>
        (await readFile(options.logPath, "utf8"))
          .split("\n")
          .map((line) => line.split(" ").slice(2).join(" ")),
      [Symbol.dispose]: () => closeSync(fd),
    };
  };

  test("fails its container's start, and no end waits for it", async (t) => {
    await using place = await scratch();
    const disk = await place.folder("disk");
    using frozen = frozenMount(disk);
    if (frozen === undefined) return t.skip("needs FUSE");
    const logs = logsIn(place);
    await assert.rejects(logs.open(optionsIn(disk, "c"), call), {
      code: "UNAVAILABLE",
      message: /log worker does not answer: the disk of a log file may hang/,
    });
    await logs[Symbol.asyncDispose]();
  });

  test("stops no other log, loses nothing of one, and is refused until it answers", async (t) => {
    await using place = await scratch();
    const disk = await place.folder("disk");
    using frozen = frozenMount(disk);
    if (frozen === undefined) return t.skip("needs FUSE");
    await using logs = logsIn(place, 250);
    using other = await open(logs, await place.folder("good"), "other");
    other.say("whole\nbeg");
    await until("the first line is there", async () => (await other.lines()).length === 2);
    const hanging = assert.rejects(logs.open(optionsIn(disk, "hangs"), call), {
      code: "UNAVAILABLE",
    });
    other.say("un before, ended after\n");
    await hanging;
    await until("it is logged meanwhile", async () => (await other.lines()).length === 3);
    await assert.rejects(logs.open(optionsIn(disk, "another"), call), {
      code: "UNAVAILABLE",
      message: "the disk of the log file does not answer",
    });
    using third = await open(logs, await place.folder("good"), "third");
    third.say("here\n");
    await until("new ones are logged", async () => (await third.lines()).length === 2);
    await other.log.reopen(call);
    assert.deepEqual(await other.lines(), ["F whole", "F begun before, ended after", ""]);
    frozen[Symbol.dispose]();
    await until("it is no longer refused", async () => {
      using late = await open(logs, await place.folder("disk"), "late");
      return late;
    });
  });

  test("keeps its own logs' output until it answers", async () => {
    await using place = await scratch();
    const target = await place.folder("disk");
    using _disk = mountSmallDisk("ext4", target, {
      bytes: 16 << 20,
      image: path.join(place.path, "disk.img"),
    });
    await using logs = logsIn(place, 250);
    using slow = await open(logs, target, "slow");
    using neighbour = await open(logs, target, "neighbour");
    using other = await open(logs, await place.folder("good"), "other");
    for (const each of [slow, neighbour, other]) each.say("1\n2");
    await until("the first lines are there", async () => {
      for (const each of [slow, neighbour, other]) assert.equal((await each.lines()).length, 2);
      return true;
    });
    execFileSync("fsfreeze", ["--freeze", target]);
    try {
      slow.say("\n3\n");
      neighbour.say(".\n3\n");
      other.say("..\n");
      await until("the other goes on", async () => (await other.lines()).includes("F 2.."));
      await assert.rejects(slow.log.reopen(call), { code: "UNAVAILABLE" });
    } finally {
      execFileSync("fsfreeze", ["--unfreeze", target]);
    }
    await until("all is there", async () => {
      assert.deepEqual(await slow.lines(), ["F 1", "F 2", "F 3", ""]);
      assert.deepEqual(await neighbour.lines(), ["F 1", "F 2.", "F 3", ""]);
      return true;
    });
    await until("it can be rotated again", async () => {
      await slow.log.reopen(call);
      return true;
    });
  });
});
