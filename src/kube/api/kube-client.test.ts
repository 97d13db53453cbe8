// SPDX-License-Identifier: Apache-2.0
// The Kubernetes client in front of API servers that do not what they should.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import net, { type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, beforeEach, suite, test } from "node:test";
import {
  type Answer,
  good,
  kubeconfigText,
  refusal,
  ScriptedApiServer,
} from "../../../test/support/kube/scripted-api-server.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { NodeDegraded } from "../node-degraded.ts";
import { PodEvents } from "../pod-events.ts";
import type { JobOutcome, KubeJob } from "../ports.ts";
import { openKubeClient } from "./kube-client.ts";
import { outcomeOf } from "./problem.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-kube-"));
after(() => removeFolderSync(folder));

const job = ((): KubeJob => {
  const events = new PodEvents(() => "node-1");
  const pod = { namespace: "shop", name: "web", uid: "u-1" };
  events.add({ kind: "ShimDied", pod, subject: "", message: "the shim has died" }, Date.now());
  const [due] = events.due(Date.now(), 1);
  return due!.job;
})();

async function outcome(
  kubeconfig: string,
  { signal }: { readonly signal: AbortSignal } = new AbortController(),
  asked = job,
): Promise<JobOutcome> {
  try {
    const client = await openKubeClient(kubeconfig, { signal });
    await client.perform(asked);
    return { kind: "done" };
  } catch (error) {
    return outcomeOf(error, asked);
  }
}

const kindOf = (one: JobOutcome): string => (one.kind === "failed" ? one.problem.kind : one.kind);

suite("an API server that", async () => {
  const server = await ScriptedApiServer.start();
  after(() => server[Symbol.asyncDispose]());
  const kubeconfig = await server.kubeconfig(folder);
  beforeEach(() => {
    server.seen.length = 0;
    server.answer = good;
  });

  test("is good gets an Event as kubelets write it, and our name", async () => {
    assert.deepEqual(await outcome(kubeconfig), { kind: "done" });
    const [{ method, path: asked, headers, body }] = server.seen as [(typeof server.seen)[0]];
    assert.deepEqual([method, asked], ["POST", "/api/v1/namespaces/shop/events"]);
    assert.equal(headers.authorization, "Bearer secret");
    assert.match(headers["user-agent"] ?? "", /^berthd\//);
    const {
      metadata,
      firstTimestamp: _,
      lastTimestamp: __,
      ...rest
    } = body as typeof job & {
      metadata: { name: string };
      firstTimestamp: string;
      lastTimestamp: string;
    };
    assert.match(metadata.name, /^web\.[0-9a-f]{16}$/);
    assert.deepEqual(rest, {
      involvedObject: { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web", uid: "u-1" },
      type: "Warning",
      reason: "ShimDied",
      message: "the shim has died",
      count: 1,
      source: { component: "berthd", host: "node-1" },
      reportingComponent: "berthd",
      reportingInstance: "node-1",
    });
  });

  const html: Answer = (response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<html>log in to the network</html>");
  };
  const huge: Answer = (response) => {
    response.writeHead(201, { "content-type": "application/json" });
    response.end(Buffer.alloc(8 << 20, " "));
  };
  const endless: Answer = (response) => {
    response.writeHead(500, { "content-type": "application/json" });
    let isOver = false;
    response.once("close", () => (isOver = true));
    const more = (): void => {
      if (!isOver) response.write(Buffer.alloc(1 << 20, " "), () => setImmediate(more));
    };
    more();
  };
  const other: Answer = (response) => response.writeHead(200).end("{}");
  const elsewhere: Answer = (response) =>
    response.writeHead(302, { location: "http://192.0.2.1/" }).end();
  const terminating = refusal(403, "forbidden", { causes: [{ reason: "NamespaceTerminating" }] });
  const cases: readonly (readonly [string, Answer, string])[] = [
    ["answers a page", html, "rubbish"],
    ["answers more than it may", huge, "rubbish"],
    ["answers without end", endless, "rubbish"],
    ["says yes to anything", other, "rubbish"],
    ["sends us elsewhere", elsewhere, "rubbish"],
    ["resets the connection", (response) => response.destroy(), "unreachable"],
    ["does not know us", refusal(401, "Unauthorized"), "unauthorized"],
    ["does not let us", refusal(403, "cannot create resource"), "forbidden"],
    ["is broken", refusal(500, "etcd is away"), "broken"],
    ["ends the namespace", terminating, "refused"],
    ["does not like it", refusal(422, "Event is invalid"), "refused"],
    ["has no such namespace", refusal(404, "not found"), "gone"],
    ["has it already", refusal(409, "already exists"), "done"],
  ];
  for (const [what, answer, expected] of cases) {
    test(what, async () => {
      server.answer = answer;
      assert.equal(kindOf(await outcome(kubeconfig)), expected);
      assert.equal(server.seen.length, 1, "nothing is asked twice");
    });
  }

  test("has changed it meanwhile gets the patch again", async () => {
    server.answer = refusal(409, "the object has been modified");
    const condition = new NodeDegraded().due(0)!;
    const patch: KubeJob = { kind: "condition", node: "n", condition };
    const failed = await outcome(kubeconfig, new AbortController(), patch);
    assert.equal(kindOf(failed), "broken");
  });

  test("throttles says for how long, ten minutes at most", async () => {
    for (const [value, expected] of [
      ["7", 7000],
      ["86400", 600_000],
      ["soon", undefined],
    ] as const) {
      server.answer = (response) => response.writeHead(429, { "retry-after": value }).end();
      const failed = await outcome(kubeconfig);
      assert.ok(failed.kind === "failed" && failed.problem.kind === "throttled");
      assert.equal(failed.problem.retryAfterMs, expected);
    }
  });

  test("writes what moves a terminal's cursor is told without it, and not at length", async () => {
    server.answer = refusal(500, `\u001b[2J\u202eevil${"x".repeat(10_000)}`);
    const failed = await outcome(kubeconfig);
    assert.ok(failed.kind === "failed");
    assert.match(failed.problem.message, /^500: +\[2J evilx+ … \d+ characters left out … x+$/u);
    assert.ok(failed.problem.message.length <= 300);
  });

  test("hangs is left when the call ends", async () => {
    const abort = new AbortController();
    server.answer = () => abort.abort(new DOMException("enough", "TimeoutError"));
    assert.equal(kindOf(await outcome(kubeconfig, abort)), "late");
  });

  test("hangs within TLS is left likewise", async () => {
    using sockets = new DisposableStack();
    const silent = net.createServer((socket) => sockets.adopt(socket, (one) => one.destroy()));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    sockets.defer(() => silent.close());
    const file = path.join(folder, "silent");
    const { port } = silent.address() as AddressInfo;
    await writeFile(file, kubeconfigText(`https://127.0.0.1:${port}`, { token: "secret" }));
    const abort = new AbortController();
    silent.once("connection", () => abort.abort(new DOMException("enough", "TimeoutError")));
    assert.equal(kindOf(await outcome(file, abort)), "late");
  });

  test("gets what a token's file has now", async () => {
    const tokenFile = path.join(folder, "token");
    const file = await server.kubeconfig(folder, { tokenFile: "token" });
    for (const token of ["one", "two"]) {
      await writeFile(tokenFile, `${token}\n`);
      assert.deepEqual(await outcome(file), { kind: "done" });
      assert.equal(server.seen.at(-1)?.headers.authorization, `Bearer ${token}`);
    }
  });

  test("gets what a program gives", async () => {
    const program = path.join(folder, "give");
    const status = '{"kind":"ExecCredential","status":{"token":"given"}}';
    await writeFile(program, `#!/bin/sh\n[ "$A" = b ] && echo '${status}'\n`);
    await chmod(program, 0o755);
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "./give",
      env: [{ name: "A", value: "b" }],
      interactiveMode: "Never",
    };
    assert.deepEqual(await outcome(await server.kubeconfig(folder, { exec })), { kind: "done" });
    assert.equal(server.seen.at(-1)?.headers.authorization, "Bearer given");
  });
});

suite("a kubeconfig that", () => {
  const user = (settings: object) => kubeconfigText("http://127.0.0.1:1", settings);
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "/bin/sh" };
  const cases: readonly (readonly [string, string | undefined, RegExp])[] = [
    ["is missing", undefined, /ENOENT/],
    ["is empty", "", /is empty/],
    ["is no YAML", "{", /.+/],
    ["is another document", "kind: Pod", /is no kubeconfig/],
    ["names no context", '{"clusters": []}', /has no current-context/],
    ["is larger than any", " ".repeat((1 << 20) + 1), /more than 1048576 bytes/],
    ["has a certificate that is none", user({ "client-certificate-data": "bm8=" }), /PEM/],
    ["names files that are not there", user({ tokenFile: "no-such-token" }), /ENOENT/],
    ["wants a provider of the past", user({ "auth-provider": { name: "gcp" } }), /auth-provider/],
    [
      "names a program that fails",
      user({ exec: { ...exec, args: ["-c", "echo no >&2; exit 1"] } }),
      /gives no credential: .*no/s,
    ],
    [
      "names a program that gives nothing",
      user({ exec: { ...exec, args: ["-c", "echo {}"] } }),
      /no token and no certificate/,
    ],
    [
      "names a program that asks",
      user({ exec: { ...exec, interactiveMode: "Always" } }),
      /wants a terminal/,
    ],
    [
      "is one of the past",
      user({ exec: { ...exec, apiVersion: "v1alpha1" } }),
      /version "v1alpha1"/,
    ],
  ];
  for (const [what, text, expected] of cases) {
    test(what, async () => {
      const file = path.join(folder, `config-${what.replaceAll(" ", "-")}`);
      if (text !== undefined) await writeFile(file, text);
      const failed = await outcome(file);
      assert.ok(failed.kind === "failed", JSON.stringify(failed));
      assert.equal(failed.problem.kind, "kubeconfig");
      assert.match(failed.problem.message, expected);
      assert.ok(failed.problem.message.startsWith(folder), failed.problem.message);
    });
  }

  const secret = "s3cret";
  const prints = (script: string) =>
    user({ exec: { ...exec, args: ["-c", script.replaceAll("SECRET", secret)] } });
  const leaks: readonly (readonly [string, RegExp])[] = [
    [
      `users:\n- name: u\n  user:\n    token: "${secret}\n`,
      /no YAML at line 5, column 1: deficient/,
    ],
    [`password: ${secret}: x`, /no YAML at line 1, column 17: bad indentation/],
    [`password: *${secret}`, /no YAML at line 1, column 12: unidentified alias$/],
    [`password: !${secret}`, /no YAML at line 1, column 11: unknown scalar tag$/],
    [prints("echo SECRET"), /what it wrote is no JSON/],
    [prints('echo \'{"status": {"token": "SECRET\''), /what it wrote is no JSON/],
    [prints("echo SECRET; exit 1"), /it exited with 1$/],
    [prints("echo SECRET; kill -9 $$"), /it died of SIGKILL$/],
  ];
  for (const [at, [text, expected]] of leaks.entries()) {
    test(`is broken shows no secret: ${at}`, async () => {
      const file = path.join(folder, `leak-${at}`);
      await writeFile(file, text);
      const failed = await outcome(file);
      assert.ok(failed.kind === "failed", JSON.stringify(failed));
      assert.match(failed.problem.message, expected);
      assert.ok(!failed.problem.message.includes(secret), failed.problem.message);
    });
  }

  test("names a server where nobody listens", async () => {
    const file = path.join(folder, "nobody");
    await writeFile(file, user({ token: "t" }));
    assert.equal(kindOf(await outcome(file)), "unreachable");
  });
});
