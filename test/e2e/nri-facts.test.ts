// SPDX-License-Identifier: Apache-2.0
// What an operator sees of NRI's plugins: `berth nri`, `berth pod inspect` and /metrics, while they serve, are late, are gone.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { FakePlugin } from "../support/nri/fake-plugin.ts";
import type { Cri } from "../support/pods.ts";
import { type RunResult, run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../bin/berth");
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

suite("what is seen of NRI", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  before(async () => {
    bed = await openTestbed({
      config: {
        nri: {
          request_timeout: "5s",
          required: ["10-pinning"],
          plugins: { pinning: { on_failure: "continue" } },
        },
      },
    });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(() => bed?.finish());

  const berth = (...args: readonly string[]): Promise<RunResult> =>
    run(program, args, { env: { BERTH_ADDRESS: bed.daemon.socket }, timeoutMs: 60_000 });
  const shown = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const metrics = async (): Promise<string> =>
    (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();

  test("a required plugin that serves, is late, and is gone", async () => {
    let hangs = false;
    const held = Promise.withResolvers<object>();
    assert.match(await metrics(), /^berth_nri_missing_plugins 1$/m);
    assert.match(
      await shown("status"),
      /^MISSING NRI PLUGIN +WHY\n10-pinning +it has not connected$/m,
    );
    const plugin = await FakePlugin.connect(path.join(bed.daemon.folder, "nri/nri.sock"), {
      index: "10",
      name: "pinning",
      on: {
        CreateContainer: async () =>
          hangs ? held.promise : { adjust: { env: [{ key: "PINNED", value: "yes" }] } },
      },
    });
    const pod = await cri.runPod();
    await cri.startContainer(pod, shell, forever);
    assert.match(await shown("nri", "ls"), /^10-pinning +external +serving +\d+s .* 0 +1 +-$/m);
    assert.match(
      await shown("nri", "inspect", "pinning"),
      /^CreateContainer +1 +[\d.]+m?s +[\d.]+m?s +0 +1$/m,
    );
    assert.match(
      await shown("pod", "inspect", pod.id),
      /^CHANGED +BY +WHAT\n\S+ +10-pinning +Env PINNED$/m,
    );
    const serving = await metrics();
    assert.match(serving, /^berth_nri_missing_plugins 0$/m);
    assert.doesNotMatch(await shown("status"), /MISSING/);
    assert.match(serving, /^berth_nri_plugins\{state="serving"\} 1$/m);
    assert.match(
      serving,
      /^berth_nri_calls_total\{plugin="10-pinning",call="CreateContainer",result="answered"\} 1$/m,
    );
    assert.match(serving, /^berth_nri_adjustments_total\{plugin="10-pinning"\} 1$/m);
    assert.match(serving, /^berth_nri_call_seconds_count\{call="CreateContainer"\} 1$/m);

    hangs = true;
    await cri.startContainer(pod, shell, forever, { metadata: { name: "second" } });
    assert.match(
      await shown("nri", "ls"),
      /^10-pinning +external +late .* [1-9]\d* +1 +it has not answered CreateContainer in time$/m,
    );
    const late = await metrics();
    assert.match(late, /^berth_nri_plugins\{state="late"\} 1$/m);
    assert.match(
      late,
      /^berth_nri_calls_total\{plugin="10-pinning",call="CreateContainer",result="failed"\} 1$/m,
    );

    held.resolve({});
    await until("it serves again", async () =>
      /^10-pinning .* serving /m.test(await shown("nri", "ls")),
    );
    plugin[Symbol.dispose]();
    await until("it is gone", async () => /^10-pinning .* gone /m.test(await shown("nri", "ls")));
    assert.match(await shown("nri", "ls"), /it has closed its connection$/m);
    assert.match(await metrics(), /^berth_nri_plugins\{state="gone"\} 1$/m);
    assert.match(await metrics(), /^berth_nri_missing_plugins 1$/m);
    assert.match(await shown("status"), /^10-pinning +it has closed its connection$/m);
    const { code, stderr } = await berth("nri", "inspect", "99-nobody");
    assert.equal(code, 1);
    assert.equal(stderr, 'berth: NRI plugin "99-nobody" not found\n');
  });
});
