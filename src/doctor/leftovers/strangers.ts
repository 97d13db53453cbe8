// SPDX-License-Identifier: Apache-2.0
// Who else has our state folder: what lies there may be another daemon's, whose database is not ours.
import { readlink, realpath } from "node:fs/promises";
import path from "node:path";
import { loadConfig } from "../../config/load.ts";
import { userNamespaceSuffix } from "../../network/ports.ts";
import type { Patient } from "../patient.ts";
import { pidOf } from "./folders.ts";
import type { Known } from "./known.ts";
import type { Scan, Seen } from "./process-scan.ts";

/**
 * Why nothing in the state folder may be taken for left: a process has it that is neither the daemon that was asked nor one
 * of its shims, nor below them. "" where there is none.
 */
export async function strangerIn(patient: Patient, known: Known, scan: Scan): Promise<string> {
  if (!scan.isWhole) return "there are more processes than could be looked at in time";
  const { host, layout } = patient;
  const byPid = new Map(scan.seen.map((one) => [one.pid, one]));
  const { pid: daemon } = await patient.daemon();
  const foreign = scan.seen.filter((one) => !isOurs(one, byPid, daemon));
  const folder = host.at(layout.bundles);
  const bundles = await realpath(folder).catch(() => folder);
  const made = await unknownIn(patient, known);
  const [bundle] = made.foreign;
  if (bundle !== undefined) return `${bundle} was made by a berthd with another root`;
  for (const one of foreign) {
    const { pid, name, files, ids, netns } = one;
    if (one.isBerthd && (await hasState(one, patient)))
      return `process ${pid} is another berthd, and has ${layout.state} or may have it`;
    const file = files.find((at) => {
      if (at !== bundles && !at.startsWith(`${bundles}/`)) return false;
      const id = at.slice(bundles.length + 1).split("/")[1];
      return id === undefined || made.ids.has(id);
    });
    if (file !== undefined)
      return `process ${pid} (${name}) uses ${file}, and is not of the berthd at ${patient.socket}`;
    const id = [...ids].find((each) => made.ids.has(each)) ?? made.namespaces.get(netns);
    if (id === undefined && !made.pids.has(pid)) continue;
    return `process ${pid} (${name}) of ${id ?? made.pids.get(pid)}, which berthd does not know, runs, and nothing shows that it is of the berthd at ${patient.socket}`;
  }
  return "";
}

/** Whether it, or what it is below, is the daemon that was asked or a shim that was started for its socket. */
function isOurs(one: Seen, byPid: ReadonlyMap<number, Seen>, daemon: number | undefined): boolean {
  let at: Seen | undefined = one;
  for (let steps = 0; at !== undefined && steps < 100; steps += 1) {
    if (at.pid === daemon || at.isOurShim) return true;
    at = byPid.get(at.parent);
  }
  return false;
}

/** Ids that nobody knows, with what shows their processes: by pid file, and by pinned namespace. */
async function unknownIn({ host, layout }: Patient, known: Known) {
  const ids = new Set<string>();
  const pids = new Map<number, string>();
  const namespaces = new Map<number, string>();
  const foreign: string[] = [];
  for (const namespace of await host.names(layout.bundles)) {
    for (const id of await host.names(path.join(layout.bundles, namespace))) {
      if (known.ids.has(id)) continue;
      ids.add(id);
      const bundle = path.join(layout.bundles, namespace, id);
      const pid = await pidOf(host.at(bundle));
      if (pid > 0) pids.set(pid, id);
      // A bundle's own link to where its task's other files are, in the root of the daemon that has made it.
      const work = await readlink(host.at(path.join(bundle, "work"))).catch(() => undefined);
      if (work !== undefined && work !== path.join(layout.work, namespace, id))
        foreign.push(bundle);
    }
  }
  for (const name of await host.names(layout.netns)) {
    const id = name.endsWith(userNamespaceSuffix)
      ? name.slice(0, -userNamespaceSuffix.length)
      : name;
    if (known.ids.has(id)) continue;
    ids.add(id);
    const facts = await host.stat(path.join(layout.netns, name));
    if (facts !== undefined) namespaces.set(facts.ino, id);
  }
  return { ids, pids, namespaces, foreign };
}

/** By its command line and the configuration that names, and by what it has open; true where that cannot be told. */
async function hasState({ pid, argv = [], files }: Seen, patient: Patient): Promise<boolean> {
  const { host, layout } = patient;
  const ours = await host.stat(layout.state);
  if (ours === undefined) return false;
  const real = await realpath(host.at(layout.state)).catch(() => host.at(layout.state));
  if (files.some((file) => file.startsWith(`${real}/`))) return true;
  const root = `/proc/${pid}/root`;
  const cwd = await realpath(host.at(`/proc/${pid}/cwd`)).catch(() => "/");
  const told = flagOf(argv, ["--state"]) ?? stateOf(flagOf(argv, ["--config", "-c"]));
  if (argv.length === 0 || told === undefined) return true;
  const theirs = await host.stat(path.join(root, path.resolve(cwd, told))).catch(() => undefined);
  return theirs?.ino === ours.ino && theirs.dev === ours.dev;

  function stateOf(file: string | undefined): string | undefined {
    try {
      const named =
        file === undefined ? {} : { file: host.at(path.join(root, path.resolve(cwd, file))) };
      return loadConfig(named).config.state;
    } catch {
      return undefined;
    }
  }
}

function flagOf(argv: readonly string[], names: readonly string[]): string | undefined {
  let value: string | undefined;
  for (const [at, word] of argv.entries()) {
    for (const name of names) {
      if (word === name) value = argv[at + 1];
      else if (word.startsWith(`${name}=`)) value = word.slice(name.length + 1);
    }
  }
  return value;
}
