// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { V1PodSpec } from "@kubernetes/client-node";
import { parse } from "yaml";
import { KubeletApi } from "../../support/kubelet/kubelet-api.ts";
import { endChild } from "../../support/registry.ts";
import { GivenUp, until } from "../../support/until.ts";
import { projectFolder } from "../plan.ts";

/** The kubelet that the host has built, if it could. */
export const kubeletProgram = path.join(projectFolder, "vm/kubelet");

const folder = "/run/test-kubelet";
const manifests = path.join(folder, "manifests");
const logFile = path.join(folder, "kubelet.log");

/** A kubelet with static pods, on the machine's berthd. */
export interface GuestKubelet extends AsyncDisposable {
  readonly api: KubeletApi;
  /** Writes a pod's manifest. With the uid that it had, the pod that runs is changed in place. */
  place(name: string, uid: string, spec: V1PodSpec): Promise<void>;
  log(): Promise<string>;
}

/**
 * Starts the kubelet with the configuration of deploy/, and memory reserved by the pods' requests. Disposing takes the
 * manifests away, waits for the pods to be gone, and ends it.
 */
export async function startGuestKubelet(): Promise<GuestKubelet> {
  await mkdir(manifests, { recursive: true });
  const deployed = await readFile(path.join(projectFolder, "deploy/kubelet-config.yaml"), "utf8");
  const config = {
    ...(parse(deployed) as object),
    // MemoryQoS is on by default, and without these two sets nothing.
    memoryReservationPolicy: "TieredReservation",
    memoryThrottlingFactor: 0.9,
    staticPodPath: manifests,
    address: "127.0.0.1",
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    healthzPort: 0,
    makeIPTablesUtilChains: false,
    evictionHard: { "memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    syncFrequency: "2s",
    fileCheckFrequency: "2s",
  };
  await writeFile(path.join(folder, "config.json"), JSON.stringify(config));
  const log = openSync(logFile, "a");
  const flags = ["--config", path.join(folder, "config.json"), "--cert-dir", `${folder}/pki`];
  const argv = [...flags, "--hostname-override", "localhost", "--v=4"];
  const child = spawn(kubeletProgram, argv, { stdio: ["ignore", log, log], cwd: "/" });
  closeSync(log);
  const api = new KubeletApi("localhost:10250", `${folder}/pki/kubelet.crt`);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => endChild(child, 60_000));
  await until(
    "the kubelet serves",
    async () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new GivenUp(`the kubelet ended: ${(await readFile(logFile, "utf8")).slice(-4000)}`);
      }
      return (await api.request("/healthz")) === "ok";
    },
    { timeoutMs: 20_000, everyMs: 500 },
  );
  undo.defer(async () => {
    for (const name of await readdir(manifests)) await rm(path.join(manifests, name));
    await until("its pods are gone", async () => (await api.pods()).length === 0, {
      timeoutMs: 20_000,
      everyMs: 1000,
    });
  });
  const owned = undo.move();
  return {
    api,
    log: () => readFile(logFile, "utf8"),
    place: async (name, uid, spec) => {
      const hidden = path.join(manifests, `.${name}.json`);
      const metadata = { name, uid, namespace: "default" };
      await writeFile(hidden, JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec }));
      await rename(hidden, path.join(manifests, `${name}.json`));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
