// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { parseStat } from "../../../src/base/os/proc.ts";
import { parseCgroups } from "../../../src/base/os/proc-cgroup.ts";
import { cgroupPathOf, parseProcCgroup } from "../../../src/metrics/cgroup/cgroup-layout.ts";
import { parseNetDev } from "../../../src/metrics/interface-counters.ts";
import { parseOpenFilesLimit } from "../../../src/metrics/open-files.ts";
import { ByteSource } from "../byte-source.ts";
import type { FuzzTarget } from "../target.ts";

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0
`;
const stat =
  "77 (a) b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 10 18446744073709551615 1 1\n";
const limits =
  "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n";
const cgroup = "4:cpu,cpuacct:/a\n2:name=systemd:/s\n0::/u:v\n";

/** Files of /proc of which a container chooses parts: the names of its interfaces, processes and cgroups. */
export const target: FuzzTarget = {
  name: "proc-text",
  parses: [
    "src/metrics/interface-counters.ts",
    "src/metrics/open-files.ts",
    "src/metrics/cgroup/cgroup-layout.ts",
    "src/base/os/proc-cgroup.ts",
    "src/base/os/proc.ts",
  ],
  dictionary: [
    "eth0:",
    "lo:",
    "0::/",
    ":memory:",
    "Max open files",
    "unlimited",
    ") S ",
    "(",
    ".slice",
    ":",
    "\n",
  ],
  maxBytes: 8192,
  seeds: () =>
    [
      netDev,
      stat,
      limits,
      cgroup,
      "a-b.slice:cri:id",
      netDev + "  x1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n".repeat(80),
    ].map((text) => Buffer.from(text)),
  run: (input) => {
    const text = input.toString("utf8");
    checkInterfaces(text);
    checkWrittenInterfaces(new ByteSource(input));
    checkStat(new ByteSource(input), text);
    checkCgroups(text);
    checkLimit(text);
    checkPath(text);
  },
};

/** Eth0 and the first, 64 at most, each with figures. */
function checkInterfaces(text: string): void {
  const found = parseNetDev(text);
  assert.ok(found.length <= 64);
  for (const { name, receive, transmit } of found) {
    assert.ok(name !== "lo" && name !== "" && !/[\s:]/.test(name));
    for (const value of [...Object.values(receive), ...Object.values(transmit)])
      assert.ok(!Number.isNaN(value));
  }
}

function checkWrittenInterfaces(source: ByteSource): void {
  const wanted = source.list(100, () => {
    const name = source.pick(["eth0", "lo", "a", "veth1", "x.7", "wg-0", "ñ"]);
    return { name, figures: Array.from({ length: 16 }, () => source.below(1000)) };
  });
  const [head = "", second = ""] = netDev.split("\n");
  const lines = wanted.map(({ name, figures }) => `${name.padStart(6)}: ${figures.join(" ")}`);
  const found = parseNetDev(`${[head, second, ...lines].join("\n")}\n`);
  const others = wanted.filter(({ name }) => name !== "lo");
  const at = others.findIndex(({ name }) => name === "eth0");
  const kept = others.slice(0, 64);
  if (at >= 64) kept.splice(63, 1);
  if (at >= 64) kept.unshift(others[at] as (typeof others)[number]);
  assert.deepEqual(
    found,
    kept.map(({ name, figures: f }) => ({
      name,
      receive: { bytes: f[0], packets: f[1], errors: f[2], dropped: f[3] },
      transmit: { bytes: f[8], packets: f[9], errors: f[10], dropped: f[11] },
    })),
  );
}

/** A process calls itself what it likes: parentheses, blanks and line ends among it. */
function checkStat(source: ByteSource, text: string): void {
  const name = source.text(15).replaceAll(/[\0�]/g, "_");
  const state = source.pick(["R", "S", "D", "Z", "X", "T"]);
  const started = source.unsigned();
  const between = Array.from({ length: 18 }, () => source.below(100));
  const other = source.pick([8, undefined]);
  const stat = `7 (${name}) ${state} ${between.join(" ")} ${started} 1 2 3\n`;
  const found = parseStat(7, stat, () => other);
  // The first thread may have ended alone: then there are more, and one of them lives.
  const hasMore = (between[16] ?? 0) > 1 && other !== undefined;
  const lives = state !== "X" && (state !== "Z" || hasMore);
  assert.deepEqual(found, lives ? { pid: 7, startTime: String(started), name } : undefined);
  const any = parseStat(7, text);
  assert.ok(
    any === undefined || (typeof any.startTime === "string" && any.name.length <= text.length),
  );
}

function checkCgroups(text: string): void {
  const lines = parseCgroups(text);
  const controllers = parseProcCgroup(text);
  const wanted: { controllers: string; place: string }[] = [];
  for (const line of text.split("\n")) {
    const [number = "", names, ...path] = line.split(":");
    const place = path.join(":");
    if (!/^\d+$/.test(number) || names === undefined || path.length === 0) continue;
    if (/[\r\u2028\u2029]/.test(line)) return; // ends of lines to a regular expression, which the kernel never writes
    if (place === "") return; // neither does it write an empty path
    wanted.push({ controllers: names, place });
    for (const name of names.split(",")) assert.ok(controllers.has(name));
  }
  assert.deepEqual(lines, wanted);
  for (const { controllers: names, place } of wanted.slice(-1))
    for (const name of names.split(",")) assert.equal(controllers.get(name), place);
}

function checkLimit(text: string): void {
  const limit = parseOpenFilesLimit(text);
  assert.ok(limit === undefined || (limit >= 0 && text.includes("Max open files")));
  const line = text
    .split(/[\n\r\u2028\u2029]/)
    .find((one) => /^Max open files\s/.test(one) && one.trim().split(/\s+/).length > 3);
  if (line === undefined) return;
  const soft = line.trim().split(/\s+/)[3] ?? "";
  if (/^[\w-]+$/.test(soft)) assert.equal(limit, /^\d+$/.test(soft) ? Number(soft) : undefined);
}

/** A cgroup's path leads nowhere else, whatever a request calls it. */
function checkPath(text: string): void {
  const path = cgroupPathOf(text);
  assert.ok(path.startsWith("/"));
  assert.ok(
    path.length <= text.length * (2 + text.split("-").length) + 64,
    "it is as long as its slices nested",
  );
  assert.ok(!path.split("/").includes(".."));
}
