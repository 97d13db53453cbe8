// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { until } from "../../../test/support/until.ts";
import { defaultConfig, defaultHandler } from "../../config/defaults.ts";
import { createLog } from "../../log/logger.ts";
import { watchRuntimeFlaws } from "./watch-runtime-flaws.ts";

test("an OCI runtime with known flaws is warned of, and refused by nothing", async () => {
  await using place = await scratch();
  const program = async (name: string, text: string): Promise<string> => {
    const file = path.join(place.path, name);
    await writeFile(file, `#!/bin/sh\n[ "$1" = --version ] || exit 1\n${text}\n`, { mode: 0o755 });
    return file;
  };
  const old = await program("old", "echo 'runc version 1.3.5'; echo 'commit: v1.3.5-0-gabc'");
  const handlers = {
    old: { ...defaultHandler, binaryName: old },
    new: { ...defaultHandler, binaryName: await program("new", "echo 'runc version 1.5.1'") },
    broken: { ...defaultHandler, binaryName: await program("broken", "exit 3") },
    missing: { ...defaultHandler, binaryName: path.join(place.path, "none") },
    other: { ...defaultHandler, type: "io.containerd.kata.v2", binaryName: old },
  };
  const lines: string[] = [];
  const { log } = await createLog(
    { level: "info", format: "json" },
    { stream: { write: (line) => void lines.push(line) } },
  );
  const { signal } = new AbortController();
  const { looked, list, reload } = watchRuntimeFlaws({ handlers }, log, signal);
  await looked;
  const told = list().map(({ handler, version, build, flaws }) => [
    handler,
    version,
    build,
    flaws.map(({ id }) => id),
  ]);
  assert.deepEqual(told, [["old", "1.3.5", "v1.3.5-0-gabc", ["CVE-2026-41579"]]]);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /"level":"warn".*"flaws":\["CVE-2026-41579"\]/);

  // Another runtime is a reload away.
  const runtime = { defaultHandler: "new", handlers: { new: handlers.new } };
  (await reload.prepare({ ...defaultConfig, runtime }, [], { signal })).commit();
  await until("nothing is told any more", () => list().length === 0);
  assert.equal(lines.length, 1);
});
