// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage } from "node:async_hooks";
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Claim } from "../../src/cri/lifecycle/operation.ts";
import { OperationRegistry } from "../../src/cri/lifecycle/operations.ts";
import { Bundle } from "../../src/runtime/bundle/bundle.ts";
import { ShimPool } from "../../src/runtime/shim/shim-pool.ts";
import { ShimTask } from "../../src/runtime/task/shim-task.ts";

/** A step of one request. */
export interface Failpoint {
  /** Part of a name or an id: of what the request works on; of the task, where no request waits for the step. */
  readonly object: string;
  readonly step: string;
}

/**
 * Makes this process kill itself when requests have come to named steps. Nothing in src/ knows of it: it
 * wraps methods of the daemon's classes before the daemon is put together. Three files in `folder` are for it:
 *
 * - `armed`    Failpoints, as JSON. Each request waits before its step until all have come there; then
 *              they do their steps at the same moment, and when all are through, the process removes the file
 *              and dies. Who writes a shorter list takes points back.
 * - `arrived`  the armed ones that a request has come to, a line of JSON each
 * - `reached`  every step that ended, as Failpoint, a line of JSON each
 *
 * Steps are the stages of operations, "RunPodSandbox: netns", and what the runtime does below them,
 * "bundle: create", "shim: launch", "task: start". What an operation does within another is that one's.
 */
export function installFailpoints(folder: string): void {
  const step = stepsIn(folder);
  const operations = OperationRegistry.prototype;
  const claim: unknown = Reflect.get(operations, "claim");
  operations.claim = function claimed(...args) {
    const operation = (claim as ClaimMethod).apply(this, args);
    const run = operation.run.bind(operation);
    operation.run = (stage, work) =>
      within(args[1], () => step(`${args[0]}: ${stage}`, () => run(stage, work)));
    return operation;
  };
  const create = Bundle.create.bind(Bundle);
  Bundle.create = (...args) => step("bundle: create", () => create(...args));
  wrap(Bundle.prototype, "write", ([file]) => `bundle: write ${String(file)}`);
  wrap(Bundle.prototype, "remove", () => "bundle: remove");
  // Whoever launched it: it is there, and nobody has connected or noted anything.
  const pool = ShimPool.prototype;
  const connect: unknown = Reflect.get(pool, "connect");
  pool.connect = async function connected(...args) {
    await step("shim: launch", () => Promise.resolve());
    return (connect as Connect).apply(this, args);
  };
  for (const method of ["start", "exec", "kill", "delete"] as const) {
    wrap(ShimTask.prototype, method, () => `task: ${method}`);
  }

  function wrap<T extends object>(
    target: T,
    method: keyof T,
    nameOf: (args: readonly unknown[]) => string,
  ): void {
    const original = target[method] as (...args: unknown[]) => Promise<unknown>;
    const wrapped = function wrapped(this: T, ...args: unknown[]): Promise<unknown> {
      const { id } = this as { id?: unknown };
      return within(String(id), () => step(nameOf(args), () => original.apply(this, args)));
    };
    target[method] = wrapped as T[keyof T];
  }
}

type ClaimMethod = (
  this: OperationRegistry,
  ...args: Parameters<OperationRegistry["claim"]>
) => Claim;
type Connect = (
  this: ShimPool,
  ...args: Parameters<ShimPool["connect"]>
) => ReturnType<ShimPool["connect"]>;
type Step = <T>(name: string, work: () => Promise<T>) => Promise<T>;

/** What the outermost operation works on. */
const owner = new AsyncLocalStorage<string>();

function within<T>(object: string, work: () => Promise<T>): Promise<T> {
  return owner.run(owner.getStore() ?? object, work);
}

function stepsIn(folder: string): Step {
  const armedFile = path.join(folder, "armed");
  const reachedFile = path.join(folder, "reached");
  const arrived = { before: new Set<string>(), after: new Set<string>() };
  const armed = (): string[] => {
    try {
      return (JSON.parse(readFileSync(armedFile, "utf8")) as unknown[]).map((it) =>
        JSON.stringify(it),
      );
    } catch {
      return [];
    }
  };
  /** Settles when all that are armed have come here; at once for those that are not, or no longer. */
  const meet = async (place: keyof typeof arrived, key: string): Promise<boolean> => {
    for (;;) {
      const keys = armed();
      if (!keys.includes(key)) return false;
      if (!arrived[place].has(key)) {
        arrived[place].add(key);
        appendFileSync(path.join(folder, "arrived"), `${key}\n`);
      }
      if (keys.every((each) => arrived[place].has(each))) return true;
      await sleep(5);
    }
  };
  return async (step, work) => {
    const object = owner.getStore() ?? "";
    const key = armed().find((each) => {
      const point = JSON.parse(each) as Failpoint;
      return point.step === step && object.includes(point.object);
    });
    if (key !== undefined) await meet("before", key);
    const result = await work();
    appendFileSync(reachedFile, `${JSON.stringify({ object, step })}\n`);
    if (key !== undefined && (await meet("after", key))) {
      rmSync(armedFile);
      process.kill(process.pid, "SIGKILL");
    }
    return result;
  };
}
