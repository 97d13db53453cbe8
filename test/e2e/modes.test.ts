// SPDX-License-Identifier: Apache-2.0
// Another user of the node gets at nothing that the daemon keeps: no pod's secrets, layers, volumes or shm.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { globSync, lstatSync, readdirSync } from "node:fs";
import { chmod, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { page } from "../docs/pages.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { openFilesOf } from "../support/processes.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

/** Runs as nobody: prints which of the paths, one a line on stdin, it can read or connect to. */
const tryAll = `
  const { accessSync, constants, readFileSync } = require("node:fs");
  const paths = readFileSync(0, "latin1").split("\\n").filter(Boolean);
  process.setgroups([]); process.setgid(65534); process.setuid(65534);
  for (const path of paths) for (const way of ["R_OK", "W_OK"]) {
    try { accessSync(Buffer.from(path, "latin1"), constants[way]); console.log(way, path); } catch {}
  }`;

/** What only a stop, a checkpoint, a client's layer, a user namespace or AppArmor makes. */
const rarelyMade = new Set([
  "ROOT/default-runtime.json",
  "ROOT/crun/crun",
  "ROOT/content/blobs/sha384/*",
  "ROOT/content/blobs/sha512/*",
  "ROOT/meta.db-reserve",
  "ROOT/checkpoints",
  "ROOT/checkpoint-mounts",
  "ROOT/diff",
  "ROOT/mapped-mounts",
  "ROOT/migration.json",
  "STATE/apparmor-profile",
  "STATE/nri-plugins",
  "STATE/nri-plugins/*",
  "STATE/runtime-trials",
]);

suite("another user of the node", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  before(async () => {
    bed = await openTestbed();
    const { cri, images } = bed;
    const pod = await cri.runPod();
    await cri.startContainer(pod, images.shell.reference, ["sleep", "100000"], {
      envs: [{ key: "SECRET", value: Buffer.from("of the pod") }],
      mounts: [
        { containerPath: "/volume", readonly: true, image: { image: images.worker.reference } },
      ],
    });
    await cri.startContainer(pod, images.worker.reference, ["sleep", "100000"]);
  });
  after(() => bed?.finish());

  const place = (...names: string[]): string => path.join(bed.daemon.folder, ...names);
  const getsAt = (): string[] => {
    const paths = [place("root"), place("state")].flatMap(everything);
    assert.ok(paths.length > 100);
    const input = paths.map((one) => one.toString("latin1")).join("\n");
    const output = execFileSync(process.execPath, ["-e", tryAll], {
      input: Buffer.from(input, "latin1"),
      maxBuffer: 64 * 1024 * 1024,
    });
    return output.toString().split("\n").filter(Boolean);
  };

  test("reads and writes nothing below root and state", () => {
    assert.deepEqual(getsAt(), []);
  });

  test("has no rights to the database, its log, and the blobs themselves", async () => {
    const blobs = place("root/content/blobs/sha256");
    const files = [
      ...["meta.db", "meta.db-wal"].map((name) => place("root", name)),
      ...(await readdir(blobs)).map((name) => path.join(blobs, name)),
    ];
    assert.ok(files.length > 4);
    for (const file of files) assert.equal((await stat(file)).mode & 0o7777, 0o600, file);
  });

  test("has the modes that docs/security.md tells", async () => {
    const told = modesTold();
    assert.ok(told.length > 15);
    const wrong: string[] = [];
    for (const [where, mode] of told) {
      const pattern = where.replace(/^ROOT/, place("root")).replace(/^STATE/, place("state"));
      const found = globSync(pattern);
      if (found.length === 0 && !rarelyMade.has(where)) wrong.push(`${where}: there is none`);
      for (const file of found) {
        const stats = await stat(file);
        const is = (stats.mode & 0o7777).toString(8).padStart(4, "0");
        if (is !== mode || stats.uid !== 0) wrong.push(`${file}: ${is} of ${stats.uid}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  test("keeps nothing that docs/security.md does not tell", () => {
    const told = new Set(modesTold().map(([where]) => where));
    const folders = { ROOT: "root", STATE: "state", "ROOT/content": "root/content" };
    for (const [where, folder] of Object.entries(folders)) {
      const untold = readdirSync(place(folder)).filter((name) => !told.has(`${where}/${name}`));
      assert.deepEqual(untold, [], where);
    }
  });

  test("shims listen at paths that others cannot open", async () => {
    const bundles = place("state/io.containerd.runtime.v2.task/k8s.io");
    let shims = 0;
    for (const bundle of await readdir(bundles)) {
      const file = path.join(bundles, bundle, "bootstrap.json");
      const { address } = JSON.parse(await readFile(file, "utf8")) as { address: string };
      assert.match(address, /^unix:\/\/\//);
      const socket = await stat(address.slice("unix://".length));
      assert.deepEqual([socket.isSocket(), socket.uid, socket.mode & 0o022], [true, 0, 0]);
      shims += 1;
    }
    assert.ok(shims > 0);
  });

  test("listens at the addresses of its configuration and nowhere else", async () => {
    const { daemon, cri } = bed;
    // Other runtimes tell their state then; of Node the first opens a debugger, and the second ends it.
    process.kill(daemon.pid(), "SIGUSR1");
    process.kill(daemon.pid(), "SIGUSR2");
    await until("the second is told", async () =>
      (await daemon.logLines()).some((line) => line["signal"] === "SIGUSR2"),
    );
    const [first] = (await cri.runtime.ListContainers({})).containers;
    const { url } = await cri.runtime.Attach({ containerId: first!.id, stdout: true });
    assert.deepEqual(
      (await listening(daemon.pid())).toSorted(),
      [new URL(url).port, new URL(daemon.metricsUrl).port]
        .map((port) => `127.0.0.1:${port}`)
        .toSorted(),
    );
    const sockets = (await listeningUnix(daemon.pid())).map((name) => path.basename(name));
    assert.deepEqual(sockets.toSorted(), ["berthd.sock.ttrpc", "berthd.sock.~", "nri.sock.~"]);
  });

  test("reads nothing either once rights were given away and the daemon was started anew", async () => {
    await bed.daemon.stop();
    const { root, state } = { root: place("root"), state: place("state") };
    const inRoot = [
      "content/blobs/sha256",
      "content/blobs",
      "content",
      "io.berth.cri/containers",
      "io.berth.cri/sandboxes",
      "io.berth.cri",
      "snapshots/overlayfs/snapshots",
      "snapshots/overlayfs",
      "snapshots",
    ];
    const inState = ["io.berth.cri/sandboxes", "io.berth.cri", "netns"];
    const loosened = [
      root,
      state,
      ...inRoot.map((name) => path.join(root, name)),
      ...inState.map((name) => path.join(state, name)),
      ...(await below(path.join(state, "io.containerd.runtime.v2.task/k8s.io"))),
      ...(await below(path.join(state, "io.berth.cri/sandboxes"))),
    ];

    for (const folder of loosened) await chmod(folder, 0o755);
    await chmod(path.join(root, "meta.db"), 0o644);
    assert.notDeepEqual(getsAt(), []);
    await bed.daemon.start();
    assert.deepEqual(getsAt(), []);
    assert.equal((await stat(path.join(root, "meta.db"))).mode & 0o7777, 0o600);
    assert.equal((await stat(root)).mode & 0o7777, 0o700);
    assert.equal((await stat(state)).mode & 0o7777, 0o711);
  });
});

/** The rows of the page's table: a path, perhaps with *, and its mode. */
function modesTold(): (readonly [where: string, mode: string])[] {
  const rows = page("docs/security.md").text.matchAll(
    /^\| `((?:ROOT|STATE)[^`]*)` \| (0\d{3}) \|/gm,
  );
  return [...rows].map(([, where = "", mode = ""]) => [where, mode] as const);
}

/** `ADDRESS:PORT` of each TCP socket that the process listens on. */
async function listening(pid: number): Promise<string[]> {
  const inodes = socketsOf(pid);
  const found: string[] = [];
  for (const table of ["tcp", "tcp6"]) {
    for (const fields of await socketTable(table)) {
      const [, local = "", , state, , , , , , inode = ""] = fields;
      if (state !== "0A" || !inodes.has(inode)) continue;
      const [address = "", port = ""] = local.split(":");
      found.push(`${address === "0100007F" ? "127.0.0.1" : address}:${Number.parseInt(port, 16)}`);
    }
  }
  return found;
}

/** The names of unix sockets that the process listens on; abstract ones begin with "@". */
async function listeningUnix(pid: number): Promise<string[]> {
  const inodes = socketsOf(pid);
  const acceptsConnections = 0x10000;
  return (await socketTable("unix"))
    .filter(([, , , flags = ""]) => (Number.parseInt(flags, 16) & acceptsConnections) !== 0)
    .filter(([, , , , , , inode = ""]) => inodes.has(inode))
    .map((fields) => fields.slice(7).join(" "));
}

async function socketTable(name: string): Promise<string[][]> {
  const lines = (await readFile(`/proc/net/${name}`, "utf8")).split("\n").slice(1);
  return lines.map((line) => line.trim().split(/\s+/));
}

/** The inodes of its open sockets. */
function socketsOf(pid: number): Set<string> {
  return new Set(openFilesOf(pid).flatMap((file) => /^socket:\[(\d+)\]$/.exec(file)?.[1] ?? []));
}

async function below(folder: string): Promise<string[]> {
  return (await readdir(folder)).map((name) => path.join(folder, name));
}

/** All paths, those of links too; as bytes, since names below are containers'. */
function everything(folder: string): Buffer[] {
  const found: Buffer[] = [Buffer.from(folder)];
  for (let next = 0; next < found.length; next++) {
    const at = found[next]!;
    if (!lstatSync(at).isDirectory()) continue;
    for (const name of readdirSync(at, { encoding: "buffer" })) {
      found.push(Buffer.concat([at, Buffer.from("/"), name]));
    }
  }
  return found;
}
