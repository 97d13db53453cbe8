// SPDX-License-Identifier: Apache-2.0
import { lstatSync } from "node:fs";
import path from "node:path";
import { cleanupDeadline } from "../../base/cancellable.ts";
import { isRecord } from "../../base/is-record.ts";
import type { Logger } from "../../base/logger.ts";
import { readBounded } from "../../base/read-bounded.ts";
import type { Bundle } from "../bundle/bundle.ts";

/** Where runc shims have runc keep its state. */
const usualRoot = "/run/containerd/runc";
const maxStatusBytes = 1024 * 1024;
const maxStateBytes = 64 * 1024 * 1024;

/** Which OCI runtime a task has, and the folder below which that keeps states: `<root>/<namespace>/<id>`. */
export interface RuntimePlace {
  readonly program: string;
  readonly root: string;
}

/** As the shim wrote it down in the bundle; where it did not, the usual place, and whose state is there. */
export async function runtimePlace(bundle: Bundle): Promise<RuntimePlace> {
  const options = await readOptions(bundle);
  const root = textOr(options["root"], usualRoot);
  const kind = (await crunStatus(bundle, root)) === undefined ? "runc" : "crun";
  return { program: textOr(options["binary_name"], kind), root };
}

/** Files by which an OCI runtime knows a container: runc's, and crun's. */
const knownBy = ["state.json", "status"];

/** What crun keeps of a bundle's container; undefined when it knows none. */
async function crunStatus(
  bundle: Bundle,
  root: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const file = path.join(root, bundle.namespace, bundle.id, "status");
    const status: unknown = JSON.parse(String(await readBounded(file, maxStatusBytes)));
    return isRecord(status) && status["bundle"] === bundle.path ? status : undefined;
  } catch {
    return undefined;
  }
}

/** Init's pid as crun has it, which may be another process's by now; 0 when crun does not know the container. */
export async function pidInCrun(bundle: Bundle): Promise<number> {
  const { root } = await runtimePlace(bundle);
  const pid = (await crunStatus(bundle, root))?.["pid"];
  return typeof pid === "number" && Number.isSafeInteger(pid) ? pid : 0;
}

/**
 * Whether the OCI runtime knows a container whose bundle was there; its own state says where. Only for
 * runtimes that keep it in the usual place.
 */
export async function isInRuntime(bundle: Bundle): Promise<boolean> {
  if ((await crunStatus(bundle, usualRoot)) !== undefined) return true;
  const file = path.join(usualRoot, bundle.namespace, bundle.id, "state.json");
  try {
    const state = String(await readBounded(file, maxStateBytes));
    return state.includes(JSON.stringify(`bundle=${bundle.path}`));
  } catch {
    return false;
  }
}

/**
 * Removes the folder of a container's state where the OCI runtime does not know the container any more, and what is
 * mounted in there. runc up to 1.1 mounts its own program in it for a moment, to run a copy that no container can
 * overwrite. Killed just then it leaves the mount, and its `delete` removes everything but that, without an error.
 *
 * With a `state.json`, or crun's `status`, the container is known, to somebody: nothing is touched. So call it after the deletion, and
 * before the bundle goes: until then nobody else makes a task of that name. Never rejects. Answers whether there was one.
 */
export async function clearRuntimeState(bundle: Bundle, log: Logger): Promise<boolean> {
  return removeState(bundle, log, (state) =>
    knownBy.some((name) => isThere(path.join(state, name))),
  );
}

/** Removes that folder whatever is in it, of a container whose OCI runtime is gone. Never rejects. */
export async function dropRuntimeState(bundle: Bundle, log: Logger): Promise<void> {
  await removeState(bundle, log, () => false);
}

async function removeState(
  bundle: Bundle,
  log: Logger,
  isSpared: (state: string) => boolean,
): Promise<boolean> {
  try {
    const { root } = await runtimePlace(bundle);
    const folder = path.join(root, bundle.namespace);
    const state = path.join(folder, bundle.id);
    if (!isThere(state) || isSpared(state)) return false;
    const { workHere } = await import("../../trees/run-here.ts"); // rarely needed
    const call = { signal: cleanupDeadline() };
    const { left } = await workHere().run("remove", { folder, name: bundle.id }, call);
    if (left === undefined) return true;
    log.warn({ task: bundle.id, folder: state, left }, "state of an OCI runtime was not removed");
  } catch (err) {
    log.warn({ err, task: bundle.id }, "state of an OCI runtime was not removed");
  }
  return false;
}

function isThere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

async function readOptions(bundle: Bundle): Promise<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse((await bundle.read("options.json")) || "{}");
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" && value !== "" ? value : otherwise;
}
