// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { CritestBed } from "./critest-bed.ts";
import { failuresOf, summary } from "./critest-run.ts";
import { builtTool } from "./go-tools.ts";
import { nothingLeft } from "./leaks.ts";

/** Of critest 1.37.0's 137 specs, all but the one whose image no registry here can serve. */
const registered = 136;
/** What the kernel or runc of this machine lacks. */
const mayLack =
  /AppArmor is disabled on this host|no runtime handler found which supports user namespaces/;

/** All that critest has, four specs at once: none fails, none skips itself without need, and nothing is left. */
export async function runEverything(t: TestContext, bed: CritestBed, name: string): Promise<void> {
  const [critest, ginkgo] = await Promise.all([builtTool("critest"), builtTool("ginkgo")]);
  const results = await bed.run(name, {
    critest: critest ?? "",
    focus: [],
    parallel: { specs: 4, ginkgo: ginkgo ?? "" },
    timeoutMs: 18 * 60_000,
  });
  t.diagnostic(`${name}: ${summary(results)}`);
  assert.deepEqual(failuresOf(results), []);
  const skipped = results.filter(({ state }) => state === "skipped");
  assert.deepEqual(
    skipped.map(({ name, message }) => `${name}: ${message}`).filter((it) => !mayLack.test(it)),
    [],
    "skipped themselves",
  );
  assert.ok(results.length >= registered, `only ${results.length} specs ran`);
  await nothingLeft(bed.daemon.territory);
}
