// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, constants, mkdirSync, openSync, readdirSync, utimesSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { makeFifo } from "./fifo.ts";
import { leftFifos, removeLeftFifos } from "./left-fifos.ts";

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
  const left = make("left");
  make("new", 0);
  const held = openSync(
    path.join(make("held"), "stderr"),
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  mkdirSync(path.join(make("other"), "folder"));
  try {
    assert.deepEqual(await foundIn(home.path), [left]);
    await removeLeftFifos(home.path);
  } finally {
    closeSync(held);
  }
  assert.deepEqual(readdirSync(home.path).toSorted(), ["held", "new", "other"]);
  await removeLeftFifos(path.join(home.path, "nowhere"));
});

async function foundIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const place of leftFifos(folder)) found.push(place);
  return found;
}
