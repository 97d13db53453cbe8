// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault, isFault, toFault } from "../base/errors.ts";
import { fittingEdits } from "./fitting-edits.ts";
import { type Direction, type Facts, type Journal, newJournal, readJournal } from "./journal.ts";
import { holdJournal, refuseHeld } from "./journal-hold.ts";
import { LossShield } from "./loss-shield.ts";
import { isSet } from "./node-kind.ts";
import type { NodeSetting } from "./node-setting.ts";
import { OpenJournal } from "./open-journal.ts";
import { type Step, stepsOf, type Tools } from "./steps.ts";

export interface Migration {
  readonly node: string;
  readonly direction: Direction;
  readonly dryRun: boolean;
  readonly journalFile: string;
  /** The facts of a node that is as it was; undefined when it uses Berth already. */
  readonly look: (call: Cancellable) => Promise<Facts | undefined>;
  /** How the node comes to another runtime, as it is now. */
  readonly settingNow: (journal: Journal) => Promise<NodeSetting>;
  readonly toolsFor: (journal: Journal) => Tools;
  /** The command line for a direction, with what else was given. */
  readonly command: (direction: Direction) => string;
  readonly say: (line: string) => void;
  /** Whether the call ended as nobody reads any more what is said, or the terminal was closed. */
  readonly isLoss: (reason: unknown) => boolean;
  /** What is said where somebody ends it. */
  readonly warn: (line: string) => void;
}

/** Until the kubelet is stopped the cluster may undo these, and they cost little. */
const renewed = new Set<string>(["cordon", "drain"]);
/** Until it is started anew a reboot, or an operator, may have started it on the runtime of before. */
const renewedStopped = new Set<string>(["stop-kubelet", "remove-pods", "settings", "runtime"]);

/** The cordon itself waits for an API server that is away. */
const cordonMs = 30_000;

/** Begins a migration, or goes on with the one that the journal tells of, in either direction. */
export async function migrate(migration: Migration, call: Cancellable): Promise<void> {
  const { dryRun, journalFile, say, toolsFor, command } = migration;
  // Before it is read: whoever has it writes to it.
  await using _held = dryRun ? undefined : await holdJournal(journalFile);
  if (dryRun) await refuseHeld(journalFile);
  const journal = await journalFor(migration, call);
  if (journal === undefined) return;
  const tools = toolsFor(journal);
  await fitSettings(journal, tools, migration);
  if (dryRun) {
    for (const step of stepsOf(journal, tools)) {
      const { name, spoken, more } = step;
      const isDone = journal.done.includes(name);
      say(`${isDone ? "done" : "would"}: ${spoken}`);
      if (!isDone) for (const line of (await more?.(call)) ?? []) say(`  ${line}`);
    }
    return;
  }
  await using opened = await OpenJournal.open(journalFile, journal);
  using shield = new LossShield(call, migration.isLoss);
  const steps = stepsOf(journal, tools);
  for (const step of steps) {
    if (step.name === "stop-kubelet" && !journal.done.includes("start-kubelet")) shield.hold();
    await take({ ...step, isLast: step === steps.at(-1) }, opened, { ...migration, tools }, shield);
    if (step.name === "start-kubelet") shield.release();
  }
  say(
    journal.direction === "to"
      ? `${journal.node} uses Berth; back: ${command("back")}`
      : `${journal.node} is back on ${journal.oldRuntime || journal.oldEndpoint}`,
  );
}

/** Before the cordon: a kubelet that was stopped could not be started as it shall be. */
async function fitSettings(journal: Journal, tools: Tools, migration: Migration): Promise<void> {
  const isAhead = stepsOf(journal, tools).some(({ name }) => name === "settings");
  if (!isAhead || journal.done.includes("start-kubelet")) return;
  try {
    journal.edits = await fittingEdits(journal, () => migration.settingNow(journal));
  } catch (error) {
    const { code, message } = toFault(error);
    const down = await downNote(journal, tools);
    throw fault(code, [message, ...down].join("\n"), { cause: error });
  }
}

/** How a kubelet comes up again that a migration has stopped. */
async function downNote({ begun, service, node }: Journal, tools: Tools): Promise<string[]> {
  if (!begun.includes("stop-kubelet") || (await tools.kubeletRuns())) return [];
  const start = tools.services.spoken(["start", service]);
  return [
    `the kubelet is down, and ${node} with it, until this has gone on; to start it as it is set now: ${start}`,
  ];
}

async function take(
  { name, spoken, run, isLast }: Step & { readonly isLast: boolean },
  opened: OpenJournal,
  migration: Migration & { readonly tools: Tools },
  call: Cancellable,
): Promise<void> {
  const { say, warn, command, tools } = migration;
  const { journal } = opened;
  const { done, begun, direction } = journal;
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
    const other = direction === "to" ? "back" : "to";
    const undo = direction === "to" ? "undo" : "go to Berth after all";
    const ways = [
      ...(await downNote(journal, tools)),
      `to go on: ${command(direction)}; to ${undo}: ${command(other)}`,
    ];
    if (call.signal.aborted && !isFault(call.signal.reason)) {
      warn(`ended in the step ${name}`);
      for (const line of ways) warn(line);
      throw call.signal.reason;
    }
    const { code, message } = toFault(error);
    throw fault(code, [`${name}: ${message}`, ...ways].join("\n"), { cause: error });
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
    if (known === undefined) {
      throw fault("NOT_FOUND", `no migration was begun here: there is no ${journalFile}`);
    }
    say(`${node} is back already, on ${known.oldRuntime || known.oldEndpoint}`);
    return undefined;
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
