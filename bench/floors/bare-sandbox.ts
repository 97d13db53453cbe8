// SPDX-License-Identifier: Apache-2.0
import { rmdirSync } from "node:fs";
import path from "node:path";
import { makeFifo } from "../../src/base/os/fifo.ts";
import { cgroupMounts } from "../../src/base/os/mount-table.ts";
import { parseExactJson } from "../../src/oci/encode-spec.ts";
import { readSandboxProcess } from "../../src/oci/sandbox-process.ts";
import { pauseBinaryPath } from "../../src/pause/pause-binary.ts";
import { SandboxCgroup } from "../../src/runtime/sandbox/sandbox-cgroup.ts";
import { startProcess } from "../../src/runtime/sandbox/start-process.ts";
import { scratch } from "../../test/support/scratch.ts";
import { until } from "../../test/support/until.ts";
import type { Samples } from "../samples.ts";

const program = pauseBinaryPath();

/** Starts another process by the spec of a sandbox that runs, in a cgroup beside its, and ends it. */
export async function bareSandbox(
  specBytes: Uint8Array,
  id: string,
  samples: Samples,
): Promise<void> {
  const read = readSandboxProcess(parseExactJson(Buffer.from(specBytes).toString()));
  if ("why" in read) throw new Error(`the sandbox is no process: ${read.why}`);
  await using home = await scratch({ prefix: "floors" });
  const [alive, start] = ["alive", "start"].map((name) => path.join(home.path, name)) as [
    string,
    string,
  ];
  for (const fifo of [alive, start]) makeFifo(fifo);
  const place = path.join(path.dirname(read.process.linux.cgroupsPath), id);
  const cgroup = new SandboxCgroup(place, await cgroupMounts());
  const call = { signal: AbortSignal.timeout(30_000) };
  const { pid, exited } = await samples.time(async () => {
    await cgroup.make(read.process.linux.resources.cpu?.shares);
    return startProcess({ id, program, process: read.process, cgroup, alive, start }, call);
  });
  process.kill(pid, "SIGKILL");
  await exited;
  for (const folder of cgroup.folders) {
    await until("the cgroup is empty", () => {
      rmdirSync(folder);
      return true;
    });
  }
}
