// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { cgroupMounts, mountsHolding, unmountBelow } from "./mount-table.ts";

const table = [
  "1 0 8:1 / / rw - ext4 /dev/a rw",
  "2 1 8:2 / /a rw shared:1 - ext4 /dev/b rw",
  "3 2 8:3 / /a/b\\040b rw master:1 - ext4 /dev/c rw",
  "4 2 8:4 / /a/b\\040b rw - ext4 /dev/d rw",
  "5 1 8:5 / /a/\\377 rw - ext4 /dev/e rw",
  "6 1 8:6 / /a\\430b rw - ext4 /dev/f rw",
  "30 1 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
  "31 1 0:28 /x /elsewhere rw - cgroup cgroup rw,cpu",
  "32 1 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
  "33 1 0:30 / /not\\040-\\040cgroup rw - tmpfs cgroup rw",
];
const others = Array.from(
  { length: 5000 },
  (_, at) => `${100 + at} 1 0:99 / /other/${at} rw - tmpfs ${"x".repeat(60)} rw`,
);

async function withTable(
  lines: readonly string[],
  use: (options: { file: string }) => Promise<void>,
): Promise<void> {
  await using place = await scratch();
  const file = `${place.path}/mountinfo`;
  await writeFile(file, `${lines.join("\n")}\n`);
  await use({ file });
}

// The same in a table of many pieces: lines are cut anywhere.
for (const [what, lines] of [
  ["a short table", table],
  ["a long one", [...others, ...table, ...others]],
] as const) {
  test(`a mount is found by what lies on it, in ${what}`, async () => {
    await withTable(lines, async (options) => {
      const rows = [
        ["/", "/dev/a"],
        ["/a", "/dev/b"],
        ["/ab", "/dev/a"],
        ["/a/x/y", "/dev/b"],
        ["/a/b b", "/dev/d"],
        ["/a/b b/c", "/dev/d"],
        ["/a/b b/", "/dev/d"],
        ["/a/b", "/dev/b"],
        ["/a\\430b/c", "/dev/f"], // no byte has that number
      ] as const;
      const all = await mountsHolding(
        rows.map(([file]) => file),
        options,
      );
      for (const [file, source] of rows) {
        assert.equal(all.of(file)?.source, source, file);
        assert.equal((await mountsHolding([file], options)).of(file)?.source, source, file);
      }
      assert.equal(all.at("/a")?.source, "/dev/b");
      assert.equal(all.at("/other/7"), undefined, "nobody asked for it");
      assert.equal(all.at("/a/x/y"), undefined);
    });
  });

  test(`hierarchies of cgroups are found once each, in ${what}`, async () => {
    await withTable(lines, async (options) => {
      assert.deepEqual(
        (await cgroupMounts(options)).map(({ mountPoint }) => mountPoint),
        ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"],
      );
    });
  });
}

test("what is no table of mounts is not taken into memory", async () => {
  await withTable(["x".repeat(2 * 1024 * 1024)], async (options) => {
    await assert.rejects(mountsHolding(["/"], options), /is no table of mounts/);
  });
});

test("unmountBelow lets a mount be that is gone already", async () => {
  await withTable(
    ["1 0 8:1 / /none-such/a rw - ext4 /dev/a rw", "garbage", ""],
    async (options) => {
      assert.equal(await unmountBelow("/none-such", options), 0);
    },
  );
});
