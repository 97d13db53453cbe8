// SPDX-License-Identifier: Apache-2.0
import { fault, toFault } from "../base/errors.ts";
import { type Edit, hasPlace, tryEdit } from "./edit.ts";
import type { Journal } from "./journal.ts";
import { type NodeSetting, pathOf } from "./node-setting.ts";

type Written = Pick<Journal, "edits" | "direction" | "ourEndpoint" | "oldEndpoint">;

/**
 * The settings to be made, where they are now: an upgrade of kubeadm moves an endpoint from its flags to the
 * configuration file. A fault where one of them could not be made, before anything is changed. `readNow`: as for a node
 * that is looked at for the first time.
 */
export async function fittingEdits(
  journal: Written,
  readNow: () => Promise<Pick<NodeSetting, "edits">>,
): Promise<readonly Edit[]> {
  const to = journal.direction === "to" ? "after" : "before";
  const kept: Edit[] = [];
  const vanished: Edit[] = [];
  for (const edit of journal.edits) ((await hasPlace(edit)) ? kept : vanished).push(edit);
  const now = await readNow().catch((error: unknown) => {
    const [first] = vanished;
    if (first === undefined) return { edits: [] }; // such as of a kubelet that does not run now
    throw refusedVanished(first, to, error);
  });
  const isMissing = (edit: Edit): boolean =>
    edit.before !== undefined || vanished.some((one) => isOfImages(one) === isOfImages(edit));
  const moved = now.edits
    .filter((edit) => !kept.some((one) => isSamePlace(one, edit)) && isMissing(edit))
    .map((edit) => ({ ...edit, before: beforeOf(edit, journal) }));
  const edits = [...kept, ...moved];
  for (const edit of edits) {
    try {
      await tryEdit(edit, to);
    } catch (error) {
      const value = edit[to];
      const wanted = value === undefined ? `without ${edit.name}` : `${edit.name} ${value}`;
      throw fault(
        "FAILED_PRECONDITION",
        `${toFault(error).message}\nset it by hand in ${edit.file} (${wanted}), and run this again; nothing has been changed`,
        { cause: error },
      );
    }
  }
  return edits;
}

function refusedVanished(edit: Edit, to: "before" | "after", cause: unknown): Error {
  const { file, kind, name } = edit;
  const shown = kind === "flag" ? `--${name}` : name;
  return fault(
    "FAILED_PRECONDITION",
    `${file} has no ${shown} any more, and where it is now cannot be told: ${toFault(cause).message}\nset ${shown} to ${edit[to] ?? edit.after} in ${file} by hand, and run this again; nothing has been changed`,
    { cause },
  );
}

/** What it is taken back to. What names another socket than ours is that of before. */
function beforeOf(edit: Edit, { edits, ourEndpoint, oldEndpoint }: Written): string | undefined {
  const { kind, before, after = "" } = edit;
  if (kind === "file") return before;
  if (before !== undefined && socketIn(before) !== ourEndpoint) return before;
  const known = edits.find(
    (one) => one.before !== undefined && isOfImages(one) === isOfImages(edit),
  );
  const socket = known?.before === undefined ? oldEndpoint : socketIn(known.before);
  const start = after.endsWith(ourEndpoint) ? after.slice(0, -ourEndpoint.length) : "unix://";
  return start + socket;
}

function socketIn(value: string): string {
  return pathOf(value.replace(/^remote:/, ""));
}

function isSamePlace(one: Edit, other: Edit): boolean {
  return one.file === other.file && one.kind === other.kind && one.name === other.name;
}

/** `imageServiceEndpoint`, `image-service-endpoint`: the other of the two endpoints. */
function isOfImages({ name }: Edit): boolean {
  return name.startsWith("image");
}
