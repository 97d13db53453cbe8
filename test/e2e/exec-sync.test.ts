// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../src/base/errors.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { type Cri } from "../support/pods.ts";
import { processesInCgroup } from "../support/processes.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("ExecSync", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let container: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    const pod = await cri.runPod();
    container = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "trap 'exit 0' TERM; sleep 100000 & wait",
    ]);
  });
  after(() => bed?.finish());

  const running = (word: string): boolean =>
    processesInCgroup(bed.daemon.territory.cgroupParent).some(({ argv }) => argv.includes(word));

  const cases = [
    { name: "true", cmd: ["true"], exitCode: 0, stdout: "", stderr: "" },
    { name: "stdout", cmd: ["echo", "a b"], exitCode: 0, stdout: "a b\n", stderr: "" },
    {
      name: "both streams and a code",
      cmd: ["sh", "-c", "echo out; echo err >&2; exit 42"],
      exitCode: 42,
      stdout: "out\n",
      stderr: "err\n",
    },
    { name: "a signal", cmd: ["sh", "-c", "kill -15 $$"], exitCode: 143, stdout: "", stderr: "" },
    {
      name: "bytes that are no text",
      cmd: ["printf", "\\000\\377\\n"],
      exitCode: 0,
      stdout: "\0\ufffd\n",
      stderr: "",
    },
  ];
  for (const { name, cmd, ...expected } of cases) {
    test(`answers ${name}`, async () => {
      assert.deepEqual(await cri.exec(container, cmd), expected);
    });
  }

  test("of a command that is not there says so", async () => {
    await assert.rejects(cri.exec(container, ["no-such-command"]), (error) => {
      assert.ok(isFault(error), String(error));
      assert.match(error.message, /no-such-command/);
      assert.match(error.message, /not found|no such file/i);
      return true;
    });
  });

  test("that runs out of time answers DEADLINE_EXCEEDED, and the process is gone", async () => {
    await assert.rejects(cri.exec(container, ["sleep", "4711"], 1), (error) =>
      isFault(error, "DEADLINE_EXCEEDED"),
    );
    await until("the process is gone", () => !running("4711"));
    assert.equal((await cri.exec(container, ["echo", "still here"])).stdout, "still here\n");
  });

  test("is not held by a background child that keeps stdout open", async () => {
    const { stdout, exitCode } = await cri.exec(container, [
      "sh",
      "-c",
      "sleep 4712 & echo started",
    ]);
    assert.deepEqual([exitCode, stdout], [0, "started\n"]);
    for (const { argv, pid } of processesInCgroup(cri.settings.cgroupParent)) {
      if (argv.includes("4712")) process.kill(pid, "SIGKILL");
    }
  });

  test("keeps at most 16 MiB of both streams, as kubelets take, and drops the rest", async () => {
    const answer = await cri.runtime.ExecSync({
      containerId: container,
      cmd: ["sh", "-c", "dd if=/dev/zero bs=1M count=17 2>/dev/null; echo end >&2"],
      timeout: 60n,
    });
    assert.equal(answer.exitCode, 0);
    assert.equal(answer.stdout.length, (16 << 20) - 64 - "end\n".length);
    assert.equal(answer.stderr.toString(), "end\n");
    const full = "dd if=/dev/zero bs=1M count=17 2>/dev/null";
    const both = await cri.runtime.ExecSync({
      containerId: container,
      cmd: ["sh", "-c", `${full}; { ${full}; } >&2`],
      timeout: 60n,
    });
    const half = (8 << 20) - 32;
    assert.deepEqual([both.stdout.length, both.stderr.length], [half, half]);
  });

  test("ten that write without end hold up neither another command nor a Version", async () => {
    const controller = new AbortController();
    const floods = Array.from({ length: 10 }, () =>
      cri.runtime.ExecSync(
        { containerId: container, cmd: ["dd", "if=/dev/zero", "bs=4714k"], timeout: 0n },
        { signal: controller.signal },
      ),
    );
    const ended = Promise.allSettled(floods);
    const isOver = ended.then(() => "over");
    // dd takes its own arguments apart at "=".
    await until("they run", () => running("4714k"));
    for (let count = 0; count < 10; count += 1) {
      const version = cri.runtime.Version({}).then(({ runtimeName }) => runtimeName);
      assert.equal(await Promise.race([version, isOver]), "berth");
    }
    assert.equal((await cri.exec(container, ["echo", "heard"])).stdout, "heard\n");
    controller.abort();
    const outcomes = await ended;
    assert.ok(outcomes.every(({ status }) => status === "rejected"));
    await until("they are gone", () => !running("4714k"));
  });

  test("many at once each get their own output", async () => {
    const numbers = Array.from({ length: 60 }, (_, i) => `${i}`);
    const answers = await Promise.all(numbers.map((n) => cri.exec(container, ["echo", n])));
    assert.deepEqual(
      answers.map(({ stdout }) => stdout.trim()),
      numbers,
    );
  });

  test("cancelled by its caller, the process is ended too", async () => {
    const controller = new AbortController();
    const call = cri.runtime.ExecSync(
      { containerId: container, cmd: ["sleep", "4713"], timeout: 0n },
      { signal: controller.signal },
    );
    await until("it runs", () => running("4713"));
    controller.abort();
    await assert.rejects(call);
    await until("it is gone", () => !running("4713"));
  });
});
