// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../src/base/process.ts";
import { connectGrpc } from "../../src/rpc/grpc-client.ts";
import { removeCgroups } from "../../test/support/cgroups.ts";
import { mountsBelow } from "../../test/support/mounts.ts";
import { bridge, cgroupParent, type Place } from "./place.ts";

const berthd = path.resolve(import.meta.dirname, "../../bin/berthd");

/** Starts berthd in a session of its own, so that Ctrl-C reaches only us and we can clean up through it. */
export async function startDaemon(place: Place): Promise<void> {
  const log = openSync(place.logFile, "a");
  const child = spawn(berthd, ["serve", "--config", place.configFile], {
    stdio: ["ignore", log, log],
    cwd: "/",
    detached: true,
  });
  closeSync(log);
  child.unref();
  if (child.pid === undefined) throw new Error(`${berthd} did not start`);
  writeFileSync(place.pidFile, `${child.pid}\n`);
  using connection = connectGrpc(place.socket);
  const runtime = connection.client("runtime.v1.RuntimeService");
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      const { status } = await runtime.Status({}, { signal: AbortSignal.timeout(2000) });
      if (status?.conditions.every((condition) => condition.status)) return;
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new Error("berthd did not become ready in 30 s");
    await sleep(50);
  }
}

/** Removes the pods through the daemon, stops it, and deletes what lies outside its folder, then the folder. */
export async function removeEverything(place: Place): Promise<void> {
  if (existsSync(place.socket)) await removePods(place);
  await stopDaemon(place);
  await run("ip", ["link", "delete", bridge], { anyExitCode: true });
  await removeCgroups(cgroupParent);
  // The folder of network namespaces is a mount of its own, and outlives the daemon like the pods do.
  for (const mount of (await mountsBelow(place.folder)).toReversed()) await run("umount", [mount]);
  await rm(place.folder, { recursive: true, force: true });
}

async function removePods(place: Place): Promise<void> {
  using connection = connectGrpc(place.socket);
  const runtime = connection.client("runtime.v1.RuntimeService");
  const call = { signal: AbortSignal.timeout(60_000) };
  const { items } = await runtime.ListPodSandbox({}, call);
  for (const { id } of items) {
    await runtime.StopPodSandbox({ podSandboxId: id }, call);
    await runtime.RemovePodSandbox({ podSandboxId: id }, call);
  }
}

async function stopDaemon(place: Place): Promise<void> {
  if (!existsSync(place.pidFile)) return;
  const pid = Number(readFileSync(place.pidFile, "utf8"));
  if (!isOurs(pid)) return;
  process.kill(pid, "SIGTERM");
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (!isOurs(pid)) return;
    await sleep(50);
  }
  process.kill(pid, "SIGKILL");
}

/** A pid may have been given to another process since. */
function isOurs(pid: number): boolean {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    const state = /^State:\s*(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return argv.includes("berthd") && state !== "Z";
  } catch {
    return false;
  }
}
