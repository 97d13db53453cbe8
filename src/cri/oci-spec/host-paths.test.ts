// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { type HostPathCalls, HostPaths } from "./host-paths.ts";

/** Paths below /dead never answer. */
function world(): { calls: HostPathCalls; looked: string[] } {
  const looked: string[] = [];
  return {
    looked,
    calls: {
      realpath: (file) => {
        looked.push(file);
        return /^\/dead(\/|$)/.test(file) ? new Promise(() => {}) : Promise.resolve(file);
      },
      makeFolder: () => Promise.resolve(),
    },
  };
}

describe("HostPaths", () => {
  it("uses one thread for a mount that hangs, however many ask", async () => {
    const { calls, looked } = world();
    const paths = new HostPaths(calls);
    const abort = new AbortController();
    const waiting = ["/dead/a", "/dead/b", "/dead/c", "/dead"].map((file) =>
      paths.resolveOrMake(file, { mountPoint: "/dead", signal: abort.signal }),
    );
    assert.equal(await paths.resolveOrMake("/data/x", { mountPoint: "/data" }), "/data/x");
    assert.equal(await paths.resolveOrMake("/deadly", { mountPoint: "/" }), "/deadly");
    assert.deepEqual(
      looked.filter((file) => file.startsWith("/dead/") || file === "/dead"),
      ["/dead/a"],
    );
    abort.abort(new Error("too late"));
    for (const wait of waiting) await assert.rejects(wait, { message: "too late" });
  });

  it("makes a folder where nothing is", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "host paths "));
    try {
      const wanted = path.join(folder, "a", "b");
      assert.equal(await new HostPaths().resolveOrMake(wanted, { mountPoint: "/" }), wanted);
      assert.ok((await stat(wanted)).isDirectory());
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
