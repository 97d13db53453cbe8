// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { fault } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { makeFifo } from "../../../src/base/os/fifo.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import type { Bundle, TaskFolders } from "../../../src/runtime/bundle/bundle.ts";
import { type RecoverPorts, recoverTasks } from "../../../src/runtime/death/recover.ts";
import { socketPathOf } from "../../../src/runtime/shim/bootstrap-answer.ts";
import type { ShimConnectRequest } from "../../../src/runtime/shim/shim.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { mixedSeeds } from "../support/mixed-seeds.ts";
import type { FuzzTarget } from "../target.ts";

const files = [
  "config.json",
  "shim-binary-path",
  "bootstrap.json",
  "address",
  "sandbox",
  "log",
  "init.pid",
  "options.json",
  "rootfs",
  "work",
];
const goodAddress = "unix:///fuzz/good";

/** A state folder that a crash or a disk has damaged: a bundle that is whole is back, each other one is given up, and nothing else on the disk changes. */
export const target: FuzzTarget = {
  name: "recovery",
  parses: [
    "src/runtime/death/recover.ts",
    "src/runtime/bundle/bundle.ts",
    "src/runtime/shim/bootstrap-answer.ts",
    "src/runtime/shim/dead-socket.ts",
  ],
  dictionary: [
    '{"version":3,"address":"unix:///',
    "canary",
    "../",
    "containerd-shim-runc-v2",
    "\0",
  ],
  maxBytes: 512,
  seeds: () => mixedSeeds(12, 120),
  run: async (input) => {
    const source = new ByteSource(input);
    const top = scratchFolder("recovery");
    for (const name of ["state", "root"]) removeFolderSync(path.join(top, name));
    const canary = path.join(top, "canary");
    writeFileSync(canary, "alive");
    const { bundles: tasks, work } = foldersIn(top);
    mkdirSync(path.join(tasks, "ns", "good"), { recursive: true });
    writeFileSync(
      path.join(tasks, "ns", "good", "bootstrap.json"),
      JSON.stringify({ version: 3, address: goodAddress, protocol: "ttrpc" }),
    );
    const damaged = source
      .list(4, () => drawBundle(source, tasks, canary))
      .filter((one) => one !== undefined);
    for (const name of source.list(2, () => source.pick(["good", "orphan", "b1"])))
      mkdirSync(path.join(work, "ns", name), { recursive: true });

    const report = await recoverTasks(portsOf(top), { signal: AbortSignal.timeout(10_000) });
    assert.deepEqual(report.recovered, [{ namespace: "ns", id: "good" }]);
    const lost = report.lost.map(({ namespace, id }) => `${namespace}/${id}`).sort();
    assert.deepEqual(lost, [...new Set(damaged)].sort());
    for (const { reason } of report.lost) assert.ok(reason.length > 0 && reason.length < 4096);
    assert.equal(readFileSync(canary, "utf8"), "alive");
    assert.ok(existsSync(path.join(tasks, "ns", "good")));
    assert.ok(!existsSync(path.join(work, "orphan")), "work without a bundle goes");
    const left = readdirSync(top).sort();
    assert.deepEqual(
      left.filter((name) => name !== "root"),
      ["canary", "state"],
    );
  },
};

/** Answers what it is called; undefined for what recovery takes for rubbish. */
function drawBundle(source: ByteSource, tasks: string, canary: string): string | undefined {
  const namespace = source.pick(["ns", "other", "k8s.io"]);
  const id = source.pick(["b1", "b2", "a b", "é", ".b3.1.1", "x".repeat(100)]);
  const folder = path.join(tasks, namespace, id);
  mkdirSync(folder, { recursive: true });
  for (const name of source.list(6, () => source.pick(files))) {
    const file = path.join(folder, name);
    if (existsSync(file) || readdirSync(folder).includes(name)) continue;
    drawFile(source, file, canary);
  }
  return id.startsWith(".") ? undefined : `${namespace}/${id}`;
}

function drawFile(source: ByteSource, file: string, canary: string): void {
  switch (source.below(8)) {
    case 0:
      return void mkdirSync(path.join(file, "inside"), { recursive: true });
    case 1:
      return symlinkSync(source.pick([canary, "/nonexistent", path.dirname(canary), "."]), file);
    case 2:
      return makeFifo(file);
    case 3:
      return writeFileSync(
        file,
        JSON.stringify({
          version: source.below(5),
          address: addressOf(source, canary),
          protocol: source.pick(["ttrpc", "grpc", ""]),
        }),
      );
    case 4:
      return writeFileSync(file, addressOf(source, canary));
    case 5:
      return writeFileSync(
        file,
        source.pick(["/usr/bin/none", "relative", "null", "[]", "{}", '{"address":5}', "\0", "7"]),
      );
    default:
      return writeFileSync(
        file,
        source.bytes(40).map((byte) => (byte === 0x2f ? 0x5f : byte)),
      ); // names no path
  }
}

/** None is the good one's, and none leads out of the scratch folder. */
function addressOf(source: ByteSource, canary: string): string {
  return source.pick([
    `unix://${canary}`,
    canary,
    `unix://${path.dirname(canary)}`,
    `unix://${canary}/x`,
    "vsock://3:1",
    `unix://${canary}\0`,
    `unix://${canary}${"x".repeat(120)}`,
  ]);
}

/** There is one shim, the usual one. */
async function resolve(
  runtime: string,
): Promise<{ path: string; isRunc: boolean; version: undefined }> {
  if (runtime !== "io.containerd.runc.v2") throw fault("NOT_FOUND", "no such shim");
  return { path: "/fuzz/shim", isRunc: true, version: undefined };
}

/** Where tasks lie: bundles in memory, work on a disk. */
function foldersIn(top: string): TaskFolders {
  return { bundles: path.join(top, "state"), work: path.join(top, "root") };
}

function portsOf(top: string): RecoverPorts {
  const connect = async ({ bootstrap }: ShimConnectRequest): Promise<unknown> => {
    if (bootstrap.address !== goodAddress) {
      socketPathOf(bootstrap.address);
      throw fault("UNAVAILABLE", "nobody serves there");
    }
    return { hold: () => true, adoptLog: () => {}, api: { State: async () => ({ pid: 7 }) } };
  };
  return {
    ...foldersIn(top),
    pool: { connect, pids: async () => new Set<number>() } as unknown as RecoverPorts["pool"],
    binaries: { resolve } as unknown as RecoverPorts["binaries"],
    grpcAddress: path.join(top, "berthd.sock"),
    loadTimeoutMs: 2_000,
    log: silentLogger,
    killShims: async () => [],
    isKnown: () => false,
    adopt: () => {},
    adoptPod: () => {},
    killStrays: async () => {},
    abandon: (bundle: Bundle) => bundle.remove(),
  };
}
