// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import net from "node:net";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { askPort } from "../support/ask-port.ts";
import { makeCrictl } from "../support/crictl.ts";
import { toolOrReason } from "../support/go-tools.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { RunningPod } from "../support/pods.ts";
import { freePort } from "../support/registry.ts";
import { LiveProgram } from "../support/streaming/live-program.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

/** Answers what it was sent, once that has ended: it needs half-closes both ways. */
const upperCaseEcho = `
  const serve = (socket) => {
    const pieces = [];
    socket.on("data", (piece) => pieces.push(piece));
    socket.on("end", () => socket.end(Buffer.concat(pieces).toString().toUpperCase()));
  };
  const server = () => require("node:net").createServer({ allowHalfOpen: true }, serve);
  server().listen(7001, "127.0.0.1", () => server().listen(7002, "::1", () => console.log("listening")));
`;

const tool = await toolOrReason("crictl");

suite("PortForward", { skip: lacking(...podPrograms, "nsenter") || tool.skip }, () => {
  let bed: Testbed;
  let pod: RunningPod;
  let inPod: LiveProgram | undefined;
  before(async () => {
    bed = await openTestbed();
    await makeCrictl(program(), bed.daemon, bed.folder);
    pod = await bed.cri.runPod();
    const netns = path.join(bed.daemon.folder, "state/netns", pod.id);
    inPod = new LiveProgram("nsenter", [`--net=${netns}`, process.execPath, "-e", upperCaseEcho]);
    await inPod.says(/listening/);
  });
  after(async () => {
    await inPod?.[Symbol.asyncDispose]();
    await bed?.finish();
  });

  const program = (): string => (tool.skip === false ? tool.path : "");
  const forward = async (transport: string, id: string, remote: number) => {
    const local = await freePort();
    const client = new LiveProgram(program(), [
      "--config",
      `${bed.folder}/crictl.yaml`,
      "port-forward",
      "-r",
      transport,
      id,
      `${local}:${remote}`,
    ]);
    await client.says(/Forwarding from 127\.0\.0\.1/);
    return { client, local };
  };

  for (const transport of ["spdy", "websocket"]) {
    test(`${transport}: twenty connections at once, each half-closed by its client`, async () => {
      const { client, local } = await forward(transport, pod.id, 7001);
      await using _client = client;
      const words = Array.from({ length: 20 }, (_, index) => `word-${index}-`.repeat(10_000));
      const answers = await Promise.all(words.map((word) => askPort(local, word)));
      assert.deepEqual(
        answers.map((answer) => answer.length),
        words.map((word) => word.length),
      );
      assert.ok(answers.every((answer, index) => answer === words[index]?.toUpperCase()));
    });

    test(`${transport}: what listens on ::1 only is found`, async () => {
      const { client, local } = await forward(transport, pod.id, 7002);
      await using _client = client;
      assert.equal(await askPort(local, "six"), "SIX");
    });

    test(`${transport}: a refused port is told with its reason`, async () => {
      const { client, local } = await forward(transport, pod.id, 7009);
      await using _client = client;
      assert.equal(await askPort(local, "x"), "");
      await client.says(/cannot connect to port 7009: 127\.0\.0\.1: connection refused/);
    });
  }

  test("a pod in the node's network is reached there", async () => {
    const listener = net.createServer((socket) => socket.end("node")).listen(0, "127.0.0.1");
    try {
      await new Promise((resolve) => listener.once("listening", resolve));
      const { port } = listener.address() as net.AddressInfo;
      const onHost = await bed.cri.runPod({
        linux: { securityContext: { namespaceOptions: { network: "NODE" } } },
      });
      const { client, local } = await forward("spdy", onHost.id, port);
      await using _client = client;
      assert.equal(await askPort(local, ""), "node");
    } finally {
      listener.close();
    }
  });

  test("refuses a pod that does not run", async () => {
    const stopped = await bed.cri.runPod();
    await bed.cri.runtime.StopPodSandbox({ podSandboxId: stopped.id });
    await assert.rejects(
      bed.cri.runtime.PortForward({ podSandboxId: stopped.id, port: [80] }),
      /is not ready/,
    );
  });
});
