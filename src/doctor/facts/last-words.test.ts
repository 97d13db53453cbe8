// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { lastError } from "./last-words.ts";

const head = "E1130 13:25:39.973810    9930 run.go:72]";

test("why a kubelet ended, by its journal", () => {
  const flag = "failed to parse kubelet flag: unknown flag: --zebra";
  assert.equal(lastError(`Flag x\n${head} "command failed" err="${flag}"\n`), flag);
  const quoted = `${head} "command failed" err="no \\"x\\" here"\n`;
  assert.equal(lastError(quoted), 'no "x" here');
  const gate = "failed to set defaults, error: unrecognized feature gate: Zebra";
  assert.equal(lastError(`panic: ${gate}\n\ngoroutine 1 [running]:\nmain.main()\n`), gate);
  assert.equal(lastError(`${head} "Container runtime sanity check failed" err="x"\n`), "");
  assert.equal(lastError(""), "");
});
