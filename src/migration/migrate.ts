// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault, isFault, toFault } from "../base/errors.ts";
import { type Direction, type Facts, type Journal, newJournal, readJournal } from "./journal.ts";
import { holdJournal, refuseHeld } from "./journal-hold.ts";
import { LossShield } from "./loss-shield.ts";
import { isSet } from "./node-kind.ts";
import { OpenJournal } from "./open-journal.ts";
import { type Step, stepsOf, type Tools } from "./steps.ts";

export interface Migration {
  readonly node: string;
  readonly direction: Direction;
  readonly dryRun: boolean;
  readonly journalFile: string;
  /** The facts of a node that is as it was; undefined when it uses Berth already. */
  readonly look: (call: Cancellable) => Promise<Facts | undefined>;
  readonly toolsFor: (journal: Journal) => Tools;
  readonly say: (line: string) => void;
  /** Whether the call ended as nobody reads any more what is said, or the terminal was closed. */
  readonly isLoss: (reason: unknown) => boolean;
}

/** Until the kubelet is stopped the cluster may undo these, and they cost little. */
const renewed = new Set<string>(["cordon", "drain"]);
/** Until it is started anew a reboot, or an operator, may have started it on the runtime of before. */
const renewedStopped = new Set<string>(["stop-kubelet", "remove-pods", "settings", "runtime"]);

/** The cordon itself waits for an API server that is away. */
const cordonMs = 30_000;

/** Begins a migration, or goes on with the one that the journal tells of, in either direction. */
export async function migrate(migration: Migration, call: Cancellable): Promise<void> {
  const { dryRun, journalFile, say, toolsFor } = migration;
  // Before it is read: whoever has it writes to it.
  await using _held = dryRun ? undefined : await holdJournal(journalFile);
  if (dryRun) await refuseHeld(journalFile);
  const journal = await journalFor(migration, call);
  if (journal === undefined) return;
  const tools = toolsFor(journal);
  if (dryRun) {
    for (const { name, spoken } of stepsOf(journal, tools)) {
      say(`${journal.done.includes(name) ? "done" : "would"}: ${spoken}`);
    }
    return;
  }
  await using opened = await OpenJournal.open(journalFile, journal);
  using shield = new LossShield(call, migration.isLoss);
  const steps = stepsOf(journal, tools);
  for (const step of steps) {
    if (step.name === "stop-kubelet" && !journal.done.includes("start-kubelet")) shield.hold();
    await take({ ...step, isLast: step === steps.at(-1) }, opened, migration, shield);
    if (step.name === "start-kubelet") shield.release();
  }
  say(
    journal.direction === "to"
      ? `${journal.node} uses Berth; back: berth migrate --node ${journal.node} --back`
      : `${journal.node} is back on ${journal.oldRuntime || journal.oldEndpoint}`,
  );
}

async function take(
  { name, spoken, run, isLast }: Step & { readonly isLast: boolean },
  opened: OpenJournal,
  { say }: Migration,
  call: Cancellable,
): Promise<void> {
  const { journal } = opened;
  const { done, begun, direction, node } = journal;
  const isRenewed =
    (renewed.has(name) && !done.includes("stop-kubelet")) ||
    (renewedStopped.has(name) && !done.includes("start-kubelet"));
  if (done.includes(name) && !isRenewed) return;
  say(`${name}: ${spoken}`);
  try {
    if (direction === "to" && !begun.includes(name)) begun.push(name);
    await opened.save();
    call.signal.throwIfAborted();
    await run(call);
    if (!done.includes(name)) done.push(name);
    journal.isOver = isLast;
    await opened.save();
  } catch (error) {
    if (!isFault(error) && call.signal.aborted) throw error;
    const other = direction === "to" ? " --back" : "";
    const on = direction === "to" ? "" : " --back";
    const back = direction === "to" ? "undo" : "go to Berth after all";
    throw fault(
      toFault(error).code,
      `${name}: ${toFault(error).message}\nto go on: berth migrate --node ${node}${on}; to ${back}: berth migrate --node ${node}${other === on ? "" : other}`,
      { cause: error },
    );
  }
}

/** What is to be done, or gone on with; undefined for nothing. */
async function journalFor(migration: Migration, call: Cancellable): Promise<Journal | undefined> {
  const { node, direction, journalFile, look, say } = migration;
  const known = await readJournal(journalFile);
  if (known !== undefined && known.node !== node) {
    if (!known.isOver || direction === "back") {
      throw fault(
        "FAILED_PRECONDITION",
        `${journalFile} is of node ${known.node}, and not ${node}`,
      );
    }
  } else if (known !== undefined && !known.isOver) {
    if (known.direction === direction) say(`going on after ${known.done.at(-1) ?? "the start"}`);
    else turn(known, direction);
    return known;
  }
  if (direction === "back") {
    if (known?.direction === "to") {
      turn(known, "back");
      known.wasCordoned = await isCordoned(known, migration, call);
      return known;
    }
    throw fault(
      "NOT_FOUND",
      known === undefined
        ? `no migration was begun here: there is no ${journalFile}`
        : `${node} is back already, on ${known.oldRuntime}`,
    );
  }
  if (known?.direction === "to" && known.isOver && (await isSet(known))) {
    say(`${node} uses Berth already`);
    return undefined;
  }
  const facts = await look(call);
  if (facts === undefined) say(`${node} uses Berth already`);
  return facts && newJournal(facts);
}

/** Months may lie between; what cannot be asked now is as it was. */
async function isCordoned(
  known: Journal,
  { toolsFor }: Migration,
  call: Cancellable,
): Promise<boolean> {
  const { node, wasCordoned } = known;
  try {
    using limit = deadline(cordonMs, `node ${node}`, call.signal);
    const found = await toolsFor(known).ask(`node ${node}`, (api) => api.node(node), limit);
    return found.spec?.unschedulable === true;
  } catch (error) {
    call.signal.throwIfAborted();
    if (isFault(error, "UNAVAILABLE", "DEADLINE_EXCEEDED")) return wasCordoned;
    throw error;
  }
}

function turn(journal: Journal, direction: Direction): void {
  journal.direction = direction;
  journal.done = [];
  journal.isOver = false;
}
