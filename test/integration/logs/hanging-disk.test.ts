// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { createContainerLogs } from "../../../src/cri/logs/container-logs.ts";
import { frozenMount } from "../../support/frozen-mount.ts";
import { scratch } from "../../support/scratch.ts";

const call = { signal: AbortSignal.timeout(60_000) };

test("a log file whose disk hangs fails its container's start, and no end waits for it", async (t) => {
  await using place = await scratch();
  const disk = await place.folder("disk");
  using frozen = frozenMount(disk);
  if (frozen === undefined) return t.skip("needs FUSE");
  const logs = createContainerLogs({
    folder: path.join(place.path, "fifo"),
    maxLineBytes: 16_384,
    log: silentLogger,
    holder: "",
    answerMs: 300,
  });
  const logPath = path.join(disk, "pod", "0.log");
  const options = { containerId: "c", logPath, logFolder: disk, terminal: true, stdin: false };
  await assert.rejects(logs.open(options, call), {
    code: "UNAVAILABLE",
    message: /log worker does not answer: the disk of a log file may hang/,
  });
  await logs[Symbol.asyncDispose]();
});
