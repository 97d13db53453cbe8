// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { mock, test } from "node:test";
import { fault } from "../../base/errors.ts";
import type { ExitStatus, Process } from "../../client/ports.ts";
import type { Terminal } from "../terminal.ts";
import { stayWith } from "./attached.ts";

const call = { signal: new AbortController().signal };
const nothing = { [Symbol.dispose]: () => {} };

/** A command whose input is at its end, with a process that refuses to hear of it. */
async function stay(refusal: Error, status: Promise<ExitStatus>): Promise<ExitStatus> {
  const asked = Promise.withResolvers<void>();
  const process = {
    wait: async () => ({ status }),
    closeStdin: async () => {
      asked.resolve();
      throw refusal;
    },
  } as unknown as Process;
  const terminal = { stdin: new PassThrough().end().resume(), onSignal: () => nothing };
  const staying = stayWith(
    process,
    { terminal: terminal as unknown as Terminal, tty: false, start: false, stdin: true },
    call,
  );
  staying.catch(() => {}); // looked at below
  await asked.promise;
  await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(2_000);
  return staying;
}

const status: ExitStatus = { exitCode: 3, exitedAtNanos: 1n };
const unreachable = fault("UNAVAILABLE", "the shim is not there");

test("an end of input that cannot be passed on is told, unless the process has ended", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  await assert.rejects(stay(unreachable, new Promise(() => {})), {
    code: "UNAVAILABLE",
    message: "the end of the input was not passed on: the shim is not there",
  });
  for (const refusal of [unreachable, fault("NOT_FOUND", "process not found")]) {
    const soon = new Promise<ExitStatus>((resolve) => setTimeout(() => resolve(status), 1_000));
    assert.equal(await stay(refusal, soon), status);
  }
});
