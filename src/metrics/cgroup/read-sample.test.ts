// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { parsePressure } from "./cgroup-files.ts";
import { countProcesses, firstProcesses } from "./cgroup-processes.ts";
import type { CgroupSample } from "./cgroup-sample.ts";
import { parseIoStat } from "./cgroup-v2.ts";
import { memoryInUse, oomKills, readCgroupSample, readCgroupUsage } from "./read-sample.ts";

async function fill(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
}

const v2Files = {
  "cpu.stat":
    "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 700\n",
  "cpu.pressure":
    "some avg10=1.50 avg60=0.20 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
  "memory.current": "1000000\n",
  "memory.max": "4000000\n",
  "memory.peak": "1500000\n",
  "memory.stat":
    "anon 400000\nfile 300000\nkernel 50000\nfile_mapped 1000\ninactive_file 200000\nactive_file 100000\npgfault 77\npgmajfault 3\n",
  "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\noom_group_kill 0\n",
  "memory.swap.current": "5000\n",
  "memory.swap.max": "max\n",
  "pids.current": "7\n",
  "pids.max": "max\n",
  "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 \n",
  "io.pressure":
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=8\n",
  "hugetlb.2MB.current": "4194304\n",
  "hugetlb.2MB.events": "max 1\n",
  "cgroup.procs": "1\n2\n3\n",
};

const v1Files = {
  "cpuacct/cpuacct.usage": "5000000\n",
  "cpuacct/cpuacct.usage_user": "3000000\n",
  "cpuacct/cpuacct.usage_sys": "2000000\n",
  "cpu/cpu.stat": "nr_periods 10\nnr_throttled 2\nthrottled_time 700000\n",
  "memory/memory.usage_in_bytes": "1000000\n",
  "memory/memory.limit_in_bytes": "4000000\n",
  "memory/memory.max_usage_in_bytes": "1500000\n",
  "memory/memory.failcnt": "4\n",
  "memory/memory.kmem.usage_in_bytes": "50000\n",
  "memory/memory.memsw.usage_in_bytes": "1005000\n",
  "memory/memory.memsw.limit_in_bytes": "9223372036854771712\n",
  "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
  "memory/memory.stat":
    "cache 1\nrss 1\ninactive_file 1\ntotal_cache 300000\ntotal_rss 400000\ntotal_mapped_file 1000\ntotal_swap 5000\ntotal_pgfault 77\ntotal_pgmajfault 3\ntotal_inactive_file 200000\ntotal_active_file 100000\n",
  "pids/pids.current": "7\n",
  "pids/pids.max": "max\n",
  "pids/cgroup.procs": "1\n2\n3\n",
  "blkio/blkio.throttle.io_service_bytes_recursive":
    "8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Total 3\nTotal 3\n",
  "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 3\n8:0 Write 4\nTotal 7\n",
  "hugetlb/hugetlb.2MB.usage_in_bytes": "4194304\n",
  "hugetlb/hugetlb.2MB.max_usage_in_bytes": "4194304\n",
  "hugetlb/hugetlb.2MB.failcnt": "1\n",
};

const pressure = (some: bigint, full: bigint, avg10 = 0, avg60 = 0) => ({
  some: { totalNanos: some, avg10, avg60, avg300: 0 },
  full: { totalNanos: full, avg10: 0, avg60: 0, avg300: 0 },
});

const expected: CgroupSample = {
  takenAtNanos: 0n,
  cpu: {
    usageNanos: 5_000_000n,
    userNanos: 3_000_000n,
    systemNanos: 2_000_000n,
    periods: 10n,
    throttledPeriods: 2n,
    throttledNanos: 700_000n,
    pressure: undefined,
  },
  memory: {
    usageBytes: 1_000_000n,
    limitBytes: 4_000_000n,
    workingSetBytes: 800_000n,
    rssBytes: 400_000n,
    cacheBytes: 300_000n,
    mappedFileBytes: 1000n,
    kernelBytes: 50_000n,
    maxUsageBytes: 1_500_000n,
    failures: 4n,
    pageFaults: 77n,
    majorPageFaults: 3n,
    activeFileBytes: 100_000n,
    inactiveFileBytes: 200_000n,
    pressure: undefined,
  },
  swap: { usageBytes: 5000n, limitBytes: undefined },
  oomKills: 2n,
  pids: { current: 7n, limit: undefined },
  io: [{ major: 8, minor: 0, readBytes: 1n, writeBytes: 2n, reads: 3n, writes: 4n }],
  ioPressure: undefined,
  hugetlb: [{ pageSize: "2MB", usageBytes: 4_194_304n, maxUsageBytes: 4_194_304n, failures: 1n }],
};

test("both cgroup versions give the same sample", async () => {
  await using place = await scratch();
  const two = await place.folder("two");
  const one = await place.folder("one");
  await fill(two, v2Files);
  await fill(one, v1Files);
  const v2 = { version: 2, folder: two } as const;
  const folders = Object.fromEntries(
    ["cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb"].map((name) => [
      name,
      path.join(one, name),
    ]),
  );
  const v1 = { version: 1, folders } as const;
  const [fromV2, fromV1] = [
    readCgroupSample(v2, ["2MB", "1GB"]),
    readCgroupSample(v1, ["2MB", "1GB"]),
  ];
  assert.deepEqual({ ...fromV1, takenAtNanos: 0n }, expected);
  assert.ok(fromV2?.cpu && fromV2.memory);
  assert.deepEqual(fromV2.cpu.pressure, pressure(12_000n, 3000n, 1.5, 0.2));
  assert.deepEqual(fromV2.ioPressure, pressure(9000n, 8000n));
  const zero = { major: 253, minor: 1, readBytes: 0n, writeBytes: 0n, reads: 0n, writes: 0n };
  assert.deepEqual(
    {
      ...fromV2,
      takenAtNanos: 0n,
      ioPressure: undefined,
      cpu: { ...fromV2.cpu, pressure: undefined },
    },
    { ...expected, io: [...expected.io, zero] },
  );
  assert.deepEqual([await oomKills(v1), await oomKills(v2)], [2n, 2n]);
  assert.deepEqual(
    [firstProcesses(v1, 2), firstProcesses(v2, 9)],
    [
      [1, 2],
      [1, 2, 3],
    ],
  );
  assert.deepEqual([countProcesses(v1), countProcesses(v2)], [3, 3]);
  assert.deepEqual([await memoryInUse(v1), await memoryInUse(v2)], [400_000n, 400_000n]);
});

const pids = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${1_000_000 + index}\n`).join("");

/** Files of a cgroup with others below it, and how many processes they are. */
const nested: readonly (readonly [string, Readonly<Record<string, string>>, number | undefined])[] =
  [
    ["none below", { "pids.current": "2\n", "cgroup.procs": "1\n2\n" }, 2],
    [
      "some two levels below",
      {
        "pids.current": "9\n",
        "cgroup.procs": "1\n",
        "a/cgroup.procs": "2\n3\n",
        "a/b/cgroup.procs": "4\n",
      },
      4,
    ],
    [
      "all below",
      { "pids.current": "3\n", "cgroup.procs": "", "init/cgroup.procs": "7\n8\n9\n" },
      3,
    ],
    ["so many that none is looked at", { "pids.current": "30000\n", "cgroup.procs": "" }, 30_000],
    [
      "so many cgroups that the kernel's count must do",
      {
        "pids.current": "400\n",
        "cgroup.procs": "1\n",
        ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`c${i}/cgroup.procs`, "5\n"])),
      },
      400,
    ],
    ["nothing", {}, undefined],
    ["as far as they are looked at where nobody counts them", { "cgroup.procs": pids(9000) }, 4096],
    [
      "those below as well where nobody counts them",
      { "cgroup.procs": pids(3), "a/cgroup.procs": pids(4), "b/cgroup.procs": pids(9000) },
      4096,
    ],
    ["exactly at the bound", { "cgroup.procs": pids(96), "a/cgroup.procs": pids(4000) }, 4096],
  ];
for (const [what, files, count] of nested) {
  test(`processes are counted: ${what}`, async () => {
    await using place = await scratch();
    await fill(place.path, files);
    assert.equal(countProcesses({ version: 2, folder: place.path }), count);
  });
}

test("io.stat tells devices apart where the kernel does not end the line of one without figures", () => {
  const zero = { readBytes: 0n, writeBytes: 0n, reads: 0n, writes: 0n };
  assert.deepEqual(parseIoStat("253:1 8:16 rbytes=5 wios=2\n259:0 \nnone 8:0 rbytes=1\n"), [
    { ...zero, major: 253, minor: 1 },
    { ...zero, major: 8, minor: 16, readBytes: 5n, writes: 2n },
    { ...zero, major: 259, minor: 0 },
  ]);
});

test("a word without a figure takes none from one that has it", () => {
  assert.equal(parseIoStat("8:16 rbytes=5 rbytes\n")[0]?.readBytes, 5n);
  const text = "some avg10=1.5 avg10 total=2 total\n";
  const some = { totalNanos: 2000n, avg10: 1.5, avg60: 0, avg300: 0 };
  assert.deepEqual(parsePressure(text)?.some, some);
});

test("what stats tell is a part of the sample, in both versions", async () => {
  await using place = await scratch();
  const [two, one] = [await place.folder("two"), await place.folder("one")];
  await fill(two, v2Files);
  await fill(one, v1Files);
  const folders = Object.fromEntries(
    ["cpuacct", "memory", "pids"].map((name) => [name, path.join(one, name)]),
  );
  for (const paths of [
    { version: 2, folder: two },
    { version: 1, folders },
  ] as const) {
    const [sample, usage] = [readCgroupSample(paths, []), readCgroupUsage(paths)];
    assert.ok(sample?.cpu && sample.memory && usage?.cpu && usage.memory);
    assert.partialDeepStrictEqual({ ...sample, takenAtNanos: usage.takenAtNanos }, usage);
    assert.deepEqual(usage.swap, sample.swap);
  }
});

test("page cache is no memory in use", async () => {
  await using place = await scratch();
  await fill(place.path, { "memory.stat": "anon 5\nfile 1000\nshmem 70\n" });
  assert.equal(await memoryInUse({ version: 2, folder: place.path }), 75n);
  assert.equal(await memoryInUse({ version: 2, folder: "/none" }), undefined);
});

test("a cgroup that is gone has no sample, and one without a controller has the rest", async () => {
  await using place = await scratch();
  const gone = { version: 2, folder: path.join(place.path, "gone") } as const;
  assert.equal(readCgroupSample(gone), undefined);
  assert.equal(await oomKills(gone), undefined);
  assert.equal(readCgroupUsage(gone), undefined);
  assert.equal(readCgroupSample({ version: 1, folders: {} }), undefined);
  assert.equal(readCgroupUsage({ version: 1, folders: {} }), undefined);
  await fill(place.path, { "pids.current": "1\n", "pids.max": "5\n" });
  const sample = readCgroupSample({ version: 2, folder: place.path });
  assert.ok(readCgroupUsage({ version: 2, folder: place.path }));
  assert.deepEqual(
    [sample?.cpu, sample?.memory, sample?.pids],
    [undefined, undefined, { current: 1n, limit: 5n }],
  );
});
