// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, constants, mkdirSync, openSync, readdirSync, utimesSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { makeFifo } from "../../base/os/fifo.ts";
import { removeLeftFifos } from "./left-fifos.ts";

test("what killed clients have left goes; FIFOs that somebody has open, and new ones, stay", async () => {
  await using home = await scratch({ prefix: "fifos" });
  const make = (name: string, seconds = 3600): string => {
    const folder = path.join(home.path, name);
    mkdirSync(folder);
    for (const stream of ["stdin", "stdout", "stderr"]) makeFifo(path.join(folder, stream));
    const then = Date.now() / 1000 - seconds;
    utimesSync(folder, then, then);
    return folder;
  };
  make("left");
  make("new", 0);
  const held = openSync(
    path.join(make("held"), "stderr"),
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  mkdirSync(path.join(make("other"), "folder"));
  try {
    await removeLeftFifos(home.path);
  } finally {
    closeSync(held);
  }
  assert.deepEqual(readdirSync(home.path).toSorted(), ["held", "new", "other"]);
  await removeLeftFifos(path.join(home.path, "nowhere"));
});
