// SPDX-License-Identifier: Apache-2.0
import { copyFile, mkdtemp, rm, stat, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { deadline } from "../../base/deadline.ts";
import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { connectLight } from "../../rpc/light/light-client.ts";
import { holdersOf } from "../facts/database-holders.ts";
import type { Patient } from "../patient.ts";

const answerMs = 10_000;
/** Far more than records of thousands of pods take. */
const mostDatabaseBytes = 2 ** 30;
/** For its log, and what SQLite makes beside it. */
const spareBytes = 8 * 1024 * 1024;

/** What berthd knows. */
export interface Known {
  /** Ids of pods and containers, in all namespaces, and of what calls that run are about. */
  readonly ids: ReadonlySet<string>;
  /** Numbers of the snapshots' folders; undefined where a running daemon keeps them. */
  readonly snapshots: ReadonlySet<number> | undefined;
}

/** Where it cannot be told, why. */
export type Unknown = { readonly reason: string };

/** Asks the daemon; of one that is down its database is read, as a copy. */
export async function askKnown(patient: Patient): Promise<Known | Unknown> {
  const { state, reason, pid } = await patient.daemon();
  if (patient.configuration.problem !== undefined)
    return { reason: "the configuration, which says where things are, cannot be used" };
  if (state === "up") {
    // Another daemon knows nothing of what lies here: all of it would seem to be left.
    const { host, layout, socket } = patient;
    const holders = await holdersOf(host, layout.database);
    if (pid !== undefined && holders.includes(pid)) return askDaemon(host.at(socket));
    return {
      reason: `the daemon at ${socket} does not have ${layout.database} open: it is another's`,
    };
  }
  if (state !== "down") return { reason: `berthd does not tell: ${reason}` };
  return readDatabase(patient);
}

async function askDaemon(socket: string): Promise<Known> {
  using connection = connectLight(socket);
  using call = deadline(answerMs, "listing what berthd knows");
  const ids = new Set<string>();
  const { operations } = await connection.client("berth.v1.Operations").List({}, call);
  for (const { object } of operations) ids.add(object);
  const { namespaces } = await connection
    .client("containerd.services.namespaces.v1.Namespaces")
    .List({}, call);
  const containers = connection.client("containerd.services.containers.v1.Containers");
  const tasks = connection.client("containerd.services.tasks.v1.Tasks");
  for (const { name: namespace } of namespaces) {
    const scoped = { ...call, namespace };
    for (const { id } of (await containers.List({}, scoped)).containers) ids.add(id);
    for (const { containerId } of (await tasks.List({}, scoped)).tasks) ids.add(containerId);
  }
  const runtime = connection.client("runtime.v1.RuntimeService");
  for (const { id } of (await runtime.ListPodSandbox({}, call)).items) ids.add(id);
  for (const { id } of (await runtime.ListContainers({}, call)).containers) ids.add(id);
  return { ids, snapshots: undefined };
}

async function readDatabase({ host, layout }: Patient): Promise<Known | Unknown> {
  const file = host.at(layout.database);
  const facts = await stat(file).catch(() => undefined);
  if (facts === undefined) {
    // Nothing was ever started, or this is another's configuration.
    const made = [...(await host.names(layout.bundles)), ...(await host.names(layout.netns))];
    if (made.length === 0) return { ids: new Set(), snapshots: undefined };
    return { reason: `there is no database at ${layout.database}` };
  }
  if (facts.size > mostDatabaseBytes)
    return { reason: `${layout.database} is too large to be copied` };
  if ((await holdersOf(host, layout.database)).length > 0) {
    return {
      reason: `another process has ${layout.database} open: is berthd at another socket?`,
    };
  }
  // SQLite would make files beside it, or change those that are there.
  const folder = await copyFolder(facts.size);
  if (folder === undefined)
    return { reason: `there is no room for a copy of ${layout.database}, in which to look` };
  try {
    const copy = path.join(folder, "meta.db");
    await copyFile(file, copy);
    await copyFile(`${file}-wal`, `${copy}-wal`).catch(() => {}); // it has none
    return recordsOf(copy);
  } catch (error) {
    const { message } = toFault(error);
    return { reason: `${layout.database} cannot be read: ${message}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** In memory where the disk has no room. */
async function copyFolder(bytes: number): Promise<string | undefined> {
  for (const place of [tmpdir(), "/dev/shm", "/run"]) {
    try {
      const { bavail, bsize } = await statfs(place);
      if (bavail * bsize > 2 * bytes + spareBytes)
        return await mkdtemp(path.join(place, "berth-doctor-"));
    } catch {
      // read-only, or not there
    }
  }
  return undefined;
}

function recordsOf(file: string): Known {
  using database = new DatabaseSync(file);
  const ids = new Set<string>();
  const snapshots = new Set<number>();
  for (const { tbl, id, value } of database
    .prepare("SELECT tbl, id, value FROM records")
    .iterate()) {
    if (["containers", "cri-sandboxes", "cri-containers"].includes(String(tbl)))
      ids.add(String(id));
    if (tbl !== "snapshots-overlayfs") continue;
    const record: unknown = JSON.parse(String(value));
    if (isRecord(record) && typeof record["number"] === "number") snapshots.add(record["number"]);
  }
  return { ids, snapshots };
}
