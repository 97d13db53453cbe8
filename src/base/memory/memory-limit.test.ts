// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { readMemoryLimit, readMemoryUse } from "./memory-limit.ts";
import { memoryShares } from "./memory-shares.ts";

const mib = 2 ** 20;
const machine = 8192 * mib;
const v1 = "/sys/fs/cgroup/memory";
const heapLimit = path.resolve(import.meta.dirname, "../../../bin/heap-limit.sh");
const v1None = "9223372036854771712\n";

interface Case {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly bytes: number;
  readonly cgroup: string | undefined;
}

const cases: readonly Case[] = [
  { name: "no cgroups at all", files: {}, bytes: machine, cgroup: undefined },
  {
    name: "a v1 limit",
    files: {
      "/proc/self/cgroup": "9:name=systemd:/x\n4:memory:/a/b\n0::/\n",
      [`${v1}/a/b/memory.limit_in_bytes`]: `${300 * mib}\n`,
      [`${v1}/a/memory.limit_in_bytes`]: v1None,
    },
    bytes: 300 * mib,
    cgroup: `${v1}/a/b`,
  },
  {
    name: "a v1 limit of the cgroup above, with controllers joined",
    files: {
      "/proc/self/cgroup": "4:cpu,memory:/a/b\n",
      [`${v1}/a/b/memory.limit_in_bytes`]: `${600 * mib}\n`,
      [`${v1}/a/memory.limit_in_bytes`]: `${500 * mib}\n`,
    },
    bytes: 500 * mib,
    cgroup: `${v1}/a`,
  },
  {
    name: "v1 limits that are none, or more than the machine has",
    files: {
      "/proc/self/cgroup": "4:memory:/a\n",
      [`${v1}/a/memory.limit_in_bytes`]: v1None,
      [`${v1}/memory.limit_in_bytes`]: `${machine + 1}\n`,
    },
    bytes: machine,
    cgroup: undefined,
  },
  {
    name: "a v2 limit, and a lower one from which on it is throttled",
    files: {
      "/proc/self/cgroup": "0::/system.slice/berthd.service\n",
      "/sys/fs/cgroup/system.slice/berthd.service/memory.max": `${400 * mib}\n`,
      "/sys/fs/cgroup/system.slice/berthd.service/memory.high": `${350 * mib}\n`,
      "/sys/fs/cgroup/system.slice/memory.max": "max\n",
    },
    bytes: 350 * mib,
    cgroup: "/sys/fs/cgroup/system.slice/berthd.service",
  },
  {
    name: "a v2 limit above, seen from a cgroup with a colon in its name",
    files: {
      "/proc/self/cgroup": "0::/kube:pods/x\n",
      "/sys/fs/cgroup/kube:pods/memory.max": `${700 * mib}\n`,
      "/sys/fs/cgroup/kube:pods/x/memory.max": "max\n",
    },
    bytes: 700 * mib,
    cgroup: "/sys/fs/cgroup/kube:pods",
  },
];

for (const { name, files, bytes, cgroup } of cases) {
  test(`the memory limit by ${name}`, () => {
    const limit = readMemoryLimit((file) => files[file], machine);
    assert.deepEqual([limit.bytes, limit.cgroup], [bytes, cgroup]);
  });

  test(`berthd's heap by ${name} is a third of it`, async () => {
    assert.equal(await heapOf(files, machine), Math.min(512, Math.floor(bytes / mib / 3)));
  });
}

test("berthd's heap is a third of the machine's memory, 64 MiB at least", async () => {
  assert.equal(await heapOf({}, 900 * mib), 300);
  assert.equal(await heapOf({}, 100 * mib), 64);
});

/** What bin/heap-limit.sh finds where /proc and /sys have these files, in MiB. */
async function heapOf(files: Case["files"], machineBytes: number): Promise<number> {
  await using root = await scratch();
  const meminfo = `MemTotal:       ${machineBytes / 1024} kB\nMemFree:        1 kB\n`;
  const all = { "/proc/meminfo": meminfo, "/proc/self/cgroup": "", ...files };
  for (const [file, text] of Object.entries(all)) {
    const place = path.join(root.path, file);
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, text);
  }
  const script = await readFile(heapLimit, "utf8");
  const below = script.replaceAll(/(?<=[ =<])\/(?=proc|sys)/g, '"$root"/');
  const program = `root=$1; set -eu; ${below}\necho "$berth_heap_mb"`;
  return Number(execFileSync("sh", ["-c", program, "sh", root.path]).toString());
}

test("what a cgroup holds is told without file pages, on v1 with those of its children", () => {
  const files: Record<string, string> = {
    "/c/memory.usage_in_bytes": "1000\n",
    "/c/memory.stat":
      "inactive_file 1\nactive_file 2\ntotal_inactive_file 300\ntotal_active_file 50\n",
    "/d/memory.current": "2000\n",
    "/d/memory.stat": "anon 5\ninactive_file 400\nactive_file 100\n",
  };
  const of = (cgroup: string | undefined, isV2: boolean): number | undefined =>
    readMemoryUse({ bytes: 1, cgroup, isV2 }, (file) => files[file])?.heldBytes;
  assert.equal(of("/c", false), 650);
  assert.equal(of("/d", true), 1500);
  assert.equal(of("/none", true), undefined);
  assert.equal(of(undefined, true), undefined);
});

test("shares grow with the memory, up to what they are on a large machine", () => {
  const small = memoryShares(300 * mib);
  const large = memoryShares(64 * 1024 * mib);
  for (const [name, share] of Object.entries(small)) {
    const most = (large as unknown as Record<string, number>)[name] ?? 0;
    assert.ok(share >= 1 && share <= most, `${name}: ${share} of ${most}`);
  }
  assert.equal(large.documentBytes, 8 * mib);
  assert.equal(large.extractors, 3);
  assert.equal(large.longExtractors, 12);
  assert.equal(small.extractors, 1);
  // What the daemon holds at once fits, beside its own code and some threads.
  const { requestBytes, answerBytes, execOutputBytes, tapBytes } = small;
  assert.ok(requestBytes + answerBytes + execOutputBytes + tapBytes < 100 * mib);
});
