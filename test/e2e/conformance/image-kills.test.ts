// SPDX-License-Identifier: Apache-2.0
// kill -9 of the daemon and of its client in each phase of what brings images in and out: nothing half is left, the next
// try is right, and once the image is removed there is nothing of it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type Daemon, startDaemon } from "../../support/daemon.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { disposeOnSignal } from "../../support/last-resort.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { must, run } from "../../support/run.ts";
import { scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../../bin/berth");
const k8s = { namespace: "k8s.io" };

suite("what brings images in and out is killed", { skip: lacking(...podPrograms) }, () => {
  const owned = new AsyncDisposableStack();
  let daemon: Daemon;
  let other: Daemon;
  let registry: Registry;
  let layout: string;
  let name: string;
  before(async () => {
    owned.use(disposeOnSignal(owned));
    const home = owned.use(await scratch({ prefix: "kills" }));
    layout = await home.folder("layout");
    const layers = ["a", "b", "c"].map((layer) =>
      Array.from({ length: 20 }, (_, at) => ({
        path: `${layer}/${at}`,
        content: randomBytes(300_000),
      })),
    );
    // Progress is told ten times a second: many files are long enough in extracting to be told.
    layers.push(
      Array.from({ length: 6000 }, (_, at) => ({ path: `d/${at}`, content: randomBytes(10) })),
    );
    await writeOciLayout(layout, "x", { config: {}, layers });
    registry = owned.use(await startRegistry(await home.folder("registry")));
    name = `${registry.host}/killed:1`;
    daemon = owned.use(await startDaemon());
    other = owned.use(await startDaemon());
    await berth(other, "load", layout, "--name", name);
  });
  after(() => owned.disposeAsync());

  const berth = (at: Daemon, ...args: readonly string[]): Promise<string> =>
    must(program, ["image", ...args], { env: { BERTH_ADDRESS: at.socket } });
  /** What a client or a daemon could leave. */
  const left = async (): Promise<unknown> => {
    const leases = daemon.client("containerd.services.leases.v1.Leases");
    const content = daemon.client("containerd.services.content.v1.Content");
    const root = path.join(daemon.folder, "root");
    return {
      leases: (await leases.List({ filters: [] }, k8s)).leases.map(({ id }) => id),
      ingests: (await content.ListStatuses({ filters: [] }, k8s)).statuses.map(({ ref }) => ref),
      blobs: await readdir(path.join(root, "content/blobs/sha256")),
      ingestFolders: await readdir(path.join(root, "content/ingest")),
      layers: await readdir(path.join(root, "snapshots/overlayfs/snapshots")),
    };
  };
  /** Kills once a layer is in that state; answers whether one was ever told to be. */
  const killIn = async (
    state: string,
    victim: "client" | "daemon",
    args: readonly string[],
  ): Promise<boolean> => {
    const child = spawn(program, ["image", ...args, "--progress", "json"], {
      env: { ...process.env, BERTH_ADDRESS: daemon.socket },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let isOver = false;
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    void ended.then(() => (isOver = true));
    let said = "";
    child.stderr.on("data", (bytes) => (said += String(bytes)));
    const isThere = (): boolean => said.includes(`"${state}"`);
    await until(`a layer is ${state}`, () => isThere() || isOver, { everyMs: 1 });
    if (isOver) return false;
    if (victim === "client") child.kill("SIGKILL");
    else await daemon.kill9();
    await ended;
    if (victim === "daemon") await daemon.start();
    return true;
  };

  const phases = [
    { verb: "load", state: "loading" },
    { verb: "load", state: "extracting" },
    { verb: "copy", state: "downloading" },
    { verb: "push", state: "uploading" },
    { verb: "pull", state: "downloading" },
    { verb: "pull", state: "extracting" },
  ] as const;
  for (const { verb, state } of phases) {
    for (const victim of ["client", "daemon"] as const) {
      test(`the ${victim}, while image ${verb} is ${state}`, async () => {
        const args = {
          load: ["load", layout, "--name", name],
          copy: ["copy", "--from", other.socket, name],
          push: ["push", name],
          pull: ["pull", name],
        }[verb];
        if (verb === "push") {
          await berth(daemon, "load", layout, "--name", name);
          name = `${registry.host}/killed-${victim}:1`;
          await berth(daemon, "tag", args[1] ?? "", name);
          args[1] = name;
        }
        let isKilled = await killIn(state, victim, args);
        for (let i = 0; i < 10 && !isKilled; i += 1) {
          if (verb !== "push") await berth(daemon, "rm", name);
          isKilled = await killIn(state, victim, args);
        }
        assert.ok(isKilled, `it was over before a layer was told to be ${state}`);
        await berth(daemon, ...args);
        const verified = await run(program, ["image", "verify"], {
          env: { BERTH_ADDRESS: daemon.socket },
        });
        assert.equal(verified.code, 0, verified.stdout);
        await berth(daemon, "rm", name);
        await until("nothing of it is left", async () => {
          const none = { leases: [], ingests: [], blobs: [], ingestFolders: [], layers: [] };
          assert.deepEqual(await left(), none);
          return true;
        });
      });
    }
  }
});
