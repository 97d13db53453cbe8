// SPDX-License-Identifier: Apache-2.0
// The thread, its code and an API server.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, suite, test } from "node:test";
import { good, refusal, ScriptedApiServer } from "../../test/support/kube/scripted-api-server.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { NodeDegraded } from "./node-degraded.ts";
import type { KubeJob } from "./ports.ts";
import { WorkerLink } from "./worker-link.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-kube-link-"));
after(() => removeFolderSync(folder));
const condition = new NodeDegraded().due(0);
assert.ok(condition);
const jobs: readonly KubeJob[] = [1, 2].map(() => ({ kind: "condition", node: "n", condition }));
const entry = (text: string) => new URL(`data:text/javascript,${encodeURIComponent(text)}`);

suite("the thread that speaks with the API server", () => {
  test("patches the node's status, with what a program in the kubeconfig gives", async () => {
    await using server = await ScriptedApiServer.start();
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "/bin/echo",
      args: ['{"status": {"token": "given"}}'],
    };
    const kubeconfig = await server.kubeconfig(folder, { exec });
    await using link = new WorkerLink();
    assert.deepEqual(await link.send(kubeconfig, jobs), [{ kind: "done" }, { kind: "done" }]);
    const [first] = server.seen;
    assert.deepEqual([first?.method, first?.path], ["PATCH", "/api/v1/nodes/n/status"]);
    assert.equal(first?.headers["content-type"], "application/strategic-merge-patch+json");
    assert.equal(first?.headers.authorization, "Bearer given");
    assert.deepEqual(first?.body, { status: { conditions: [condition] } });
  });

  test("runs a program once, until a server does not take what it gave or it expires", async () => {
    await using server = await ScriptedApiServer.start();
    const program = path.join(folder, "give");
    const runs = path.join(folder, "runs");
    const until = path.join(folder, "until");
    await writeFile(
      program,
      `#!/bin/sh\necho run >> ${runs}\necho "{\\"status\\": {\\"token\\": \\"t\\", \\"expirationTimestamp\\": \\"$(cat ${until})\\"}}"\n`,
      { mode: 0o755 },
    );
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: program };
    const kubeconfig = await server.kubeconfig(folder, { exec });
    await using link = new WorkerLink();
    const counts: number[] = [];
    const send = async (): Promise<void> => {
      await link.send(kubeconfig, jobs);
      counts.push((await readFile(runs, "utf8")).split("run").length - 1);
    };
    await writeFile(until, "2999-01-01T00:00:00Z");
    await send();
    await send();
    server.answer = refusal(401, "Unauthorized");
    await send();
    server.answer = good;
    await writeFile(until, "2001-01-01T00:00:00Z");
    await send();
    await send();
    assert.deepEqual(counts, [1, 1, 1, 2, 3]);
  });

  test("tries nothing more once all would fail", async () => {
    await using link = new WorkerLink();
    const outcomes = await link.send(path.join(folder, "none"), jobs);
    assert.deepEqual(
      outcomes.map((one) => (one.kind === "failed" ? one.problem.kind : one.kind)),
      ["kubeconfig", "untried"],
    );
  });

  test("is given up when it hangs, and no other is there before it has ended", async () => {
    const hangs = entry(
      "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => { for (;;); });",
    );
    await using link = new WorkerLink({ entry: hangs, answerMs: 200 });
    const [first] = await link.send("/k", jobs);
    assert.ok(first?.kind === "failed" && first.problem.kind === "late");
  });

  test("is given up, and what is known of its batch by then is told", async () => {
    const slow = entry(
      "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => parentPort.postMessage({ outcome: { kind: 'done' } }));",
    );
    await using link = new WorkerLink({ entry: slow, answerMs: 4_000 });
    const outcomes = await link.send("/k", [...jobs, ...jobs]);
    assert.deepEqual(
      outcomes.map((one) => (one.kind === "failed" ? one.problem.kind : one.kind)),
      ["done", "late", "untried", "untried"],
    );
  });

  test("takes one batch after the other, also where nobody waits for the first any more", async () => {
    const echo = entry(
      "import { parentPort } from 'node:worker_threads'; parentPort.on('message', ({ jobs }) => setTimeout(() => { for (const { node } of jobs) parentPort.postMessage({ outcome: { kind: 'refused', message: node } }); }, 50));",
    );
    await using link = new WorkerLink({ entry: echo });
    const asked = ["a", "b"].map((node) =>
      link.send("/k", [{ kind: "condition", node, condition }]),
    );
    assert.deepEqual(await Promise.all(asked), [
      [{ kind: "refused", message: "a" }],
      [{ kind: "refused", message: "b" }],
    ]);
  });

  test("that dies is one problem, and the next batch has another", async () => {
    const dies = entry(
      "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => { throw new Error('broken'); });",
    );
    await using link = new WorkerLink({ entry: dies });
    for (let round = 0; round < 2; round += 1) {
      const [first, second] = await link.send("/k", jobs);
      assert.ok(first?.kind === "failed" && first.problem.kind === "thread");
      assert.equal(second?.kind, "untried");
    }
  });
});
