// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { retry } from "./retry.ts";

test("retry answers the first success", async () => {
  const result = await retry(
    async (attempt) => {
      if (attempt < 3) throw new Error("not yet");
      return attempt;
    },
    { attempts: 5, delayMs: 0 },
  );
  assert.equal(result, 3);
});

test("retry throws the last error when attempts are used up", async () => {
  let calls = 0;
  const work = async (): Promise<never> => {
    calls += 1;
    throw new Error(`failure ${calls}`);
  };
  await assert.rejects(retry(work, { attempts: 3, delayMs: 0 }), /failure 3/);
  assert.equal(calls, 3);
});

test("retry stops at an error that is not worth another attempt", async () => {
  let calls = 0;
  const work = async (): Promise<never> => {
    calls += 1;
    throw new Error("fatal");
  };
  await assert.rejects(retry(work, { attempts: 3, delayMs: 0, isRetryable: () => false }), /fatal/);
  assert.equal(calls, 1);
});

test("retry leaves its wait when the signal fires", async () => {
  const abort = new AbortController();
  const work = async (): Promise<never> => {
    setImmediate(() => abort.abort());
    throw new Error("busy");
  };
  await assert.rejects(retry(work, { attempts: 2, delayMs: 3_600_000, signal: abort.signal }), {
    name: "AbortError",
  });
});
