// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { scratch } from "../../test/support/scratch.ts";
import { KernelFigures } from "./kernel-figures.ts";

const at = (folder: string) => ({ version: 2, folder }) as const;
const hanging = {
  entry: new URL("../../test/support/metrics/hanging-figures.ts", import.meta.url),
  stuckMs: 1000,
};
/** What each promise came to: its value, or the fault's code. */
const outcomes = async (asked: readonly Promise<unknown>[]): Promise<unknown[]> =>
  (await Promise.allSettled(asked)).map((one) =>
    one.status === "fulfilled" ? one.value : (one.reason as { code: string }).code,
  );

describe("kernel figures", () => {
  it("are what the files say, of many cgroups that are asked for at once", async () => {
    await using place = await scratch();
    await using figures = new KernelFigures();
    const folders = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const folder = path.join(place.path, `c${n}`);
        await mkdir(folder);
        await writeFile(path.join(folder, "pids.current"), `${n}\n`);
        await writeFile(path.join(folder, "memory.current"), `${n}\n`);
        await writeFile(path.join(folder, "cgroup.procs"), "1\n".repeat(n));
        return folder;
      }),
    );
    const gone = path.join(place.path, "gone");
    const usages = await Promise.all([...folders, gone].map((it) => figures.usage(at(it))));
    assert.deepEqual(
      usages.map((usage) => usage?.memory?.usageBytes),
      [...folders.map((_, n) => BigInt(n)), undefined],
    );
    const counts = await Promise.all(folders.map((it) => figures.processes(at(it))));
    assert.deepEqual(counts, [...folders.keys()]);
    const task = await figures.task(at(folders[3] ?? ""), process.pid, true);
    assert.deepEqual(
      [task.cgroup?.pids?.current, task.processes, (task.openFilesLimit ?? 0) > 0],
      [3n, 3, true],
    );
    assert.deepEqual(await figures.interfaces(2 ** 22 + 1), []);
  });

  it("of others come although one read hangs, which is not tried again at once", async () => {
    await using figures = new KernelFigures(hanging);
    const all = ["/a", "/hangs", "/b", "/c"].map((it) => figures.usage(at(it)));
    assert.deepEqual(await outcomes(all), ["/a", "UNAVAILABLE", "/b", "/c"]);
    const later = ["/hangs", "/d"].map((it) => figures.usage(at(it)));
    assert.deepEqual(await outcomes(later), ["UNAVAILABLE", "/d"]);
  });

  it("are read by another thread when one has ended", async () => {
    await using figures = new KernelFigures(hanging);
    const cut = [figures.interfaces(1), figures.usage(at("/a"))];
    assert.deepEqual(await outcomes(cut), ["UNAVAILABLE", "UNAVAILABLE"]);
    assert.deepEqual(await outcomes([figures.usage(at("/b"))]), ["/b"]);
  });

  it("are refused at the end, those that wait and those that come", async () => {
    const figures = new KernelFigures(hanging);
    const waiting = figures.usage(at("/hangs"));
    const ended = assert.rejects(waiting, { code: "UNAVAILABLE" });
    await figures[Symbol.asyncDispose]();
    await ended;
    await assert.rejects(figures.usage(at("/a")), { code: "UNAVAILABLE" });
  });
});
