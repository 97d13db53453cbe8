// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import type { Process, ProcessIo } from "../../client/ports.ts";
import { deleteExec, killExec } from "./end-exec.ts";

/** A process whose calls fail as told; what was called of it, and what was logged, in order. */
function execThat(faults: { kill?: Error; delete?: Error; io?: Error } = {}) {
  const seen: string[] = [];
  const did = async (what: string, error: Error | undefined): Promise<never> => {
    seen.push(what);
    if (error) throw error;
    return undefined as never;
  };
  const process: Pick<Process, "id" | "kill" | "delete" | "io"> = {
    id: "e",
    kill: (signal) => did(`kill ${signal}`, faults.kill),
    delete: () => did("delete", faults.delete),
    io: { [Symbol.asyncDispose]: () => did("io", faults.io) } as unknown as ProcessIo,
  };
  const log: Logger = {
    ...silentLogger,
    debug: (_fields, message) => seen.push(`debug: ${message}`),
    warn: (_fields, message) => seen.push(`warn: ${message}`),
  };
  return { seen, needs: { log }, process: process as Process };
}

const gone = fault("NOT_FOUND", "no such exec");
const away = fault("UNAVAILABLE", "the shim is away");
const full = new Error("EIO");
const undeleted = "warn: exec could not be deleted";
const unremoved = "warn: FIFOs of an exec could not be removed";

for (const { what, faults, saw } of [
  // Its client disposes of the io with it.
  { what: "that goes", faults: {}, saw: ["delete"] },
  { what: "that is gone", faults: { delete: gone }, saw: ["delete", "io"] },
  { what: "whose shim is away", faults: { delete: away }, saw: ["delete", undeleted, "io"] },
  {
    what: "that is gone, whose FIFOs stay",
    faults: { delete: gone, io: full },
    saw: ["delete", "io", unremoved],
  },
  {
    what: "of which nothing goes",
    faults: { delete: away, io: full },
    saw: ["delete", undeleted, "io", unremoved],
  },
]) {
  test(`deleteExec of an exec ${what}: ${saw.join(", ")}`, async () => {
    const { seen, needs, process } = execThat(faults);
    await deleteExec(needs, process);
    assert.deepEqual(seen, saw);
  });
}

test("killExec waits for the end of what it has killed", async () => {
  const { seen, needs, process } = execThat();
  const exited = Promise.withResolvers<void>();
  const killing = killExec(needs, process, exited.promise).then(() => seen.push("done"));
  await new Promise((resolve) => setImmediate(resolve));
  seen.push("exited");
  exited.resolve();
  await killing;
  assert.deepEqual(seen, ["kill 9", "exited", "done"]);
});

for (const error of [gone, away, full]) {
  test(`killExec does not wait when the kill fails: ${error.message}`, async () => {
    const { seen, needs, process } = execThat({ kill: error });
    // Who waits for it gets its error.
    const exited = Promise.reject(new Error("waited"));
    exited.catch(() => {});
    await killExec(needs, process, exited);
    assert.deepEqual(seen, ["kill 9", "debug: exec could not be killed"]);
  });
}
