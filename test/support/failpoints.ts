// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { type Operation, OperationRegistry } from "../../src/cri/lifecycle/operations.ts";
import { Bundle } from "../../src/runtime/bundle.ts";
import { ShimPool } from "../../src/runtime/shim/shim-pool.ts";
import { ShimTask } from "../../src/runtime/shim-task.ts";

/**
 * Makes this process kill itself at a named step. Nothing in src/ knows of it: it wraps methods of
 * the daemon's classes before the daemon is put together. Two files in `folder` steer it:
 *
 * - `armed`    "before STEP" or "after STEP"; the first to come by it removes the file and dies
 * - `reached`  every step that ended, a line each
 *
 * Steps are the stages of operations, "RunPodSandbox: netns", and what the runtime does below them,
 * "bundle: create", "shim: launch", "task: start".
 */
export function installFailpoints(folder: string): void {
  const step = stepsIn(folder);
  const operations = OperationRegistry.prototype;
  const claim: unknown = Reflect.get(operations, "claim");
  operations.claim = function claimed(...args) {
    const operation = (claim as Claim).apply(this, args);
    const run = operation.run.bind(operation);
    operation.run = (stage, work) => step(`${args[0]}: ${stage}`, () => run(stage, work));
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
      return step(nameOf(args), () => original.apply(this, args));
    };
    target[method] = wrapped as T[keyof T];
  }
}

type Claim = (
  this: OperationRegistry,
  ...args: Parameters<OperationRegistry["claim"]>
) => Operation;
type Connect = (
  this: ShimPool,
  ...args: Parameters<ShimPool["connect"]>
) => ReturnType<ShimPool["connect"]>;
type Step = <T>(name: string, work: () => Promise<T>) => Promise<T>;

function stepsIn(folder: string): Step {
  const armed = path.join(folder, "armed");
  const reached = path.join(folder, "reached");
  const dieIf = (point: string): void => {
    let wanted: string;
    try {
      wanted = readFileSync(armed, "utf8");
    } catch {
      return;
    }
    if (wanted !== point) return;
    try {
      rmSync(armed);
    } catch {
      return; // disarmed meanwhile
    }
    process.kill(process.pid, "SIGKILL");
  };
  return async (name, work) => {
    dieIf(`before ${name}`);
    const result = await work();
    appendFileSync(reached, `${name}\n`);
    dieIf(`after ${name}`);
    return result;
  };
}
