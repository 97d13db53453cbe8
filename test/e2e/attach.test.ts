// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import { sleep } from "../../src/base/timers.ts";
import { makeCrictl } from "../support/crictl.ts";
import { toolOrReason } from "../support/go-tools.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { RunningPod } from "../support/pods.ts";
import { LiveProgram, passThrough } from "../support/streaming/live-program.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const tool = await toolOrReason("crictl");

suite("Attach", { skip: lacking(...podPrograms) || tool.skip }, () => {
  let bed: Testbed;
  let pod: RunningPod;
  before(async () => {
    bed = await openTestbed();
    await makeCrictl(program(), bed.daemon, bed.folder);
    pod = await bed.cri.runPod();
  });
  after(() => bed?.finish());

  const program = (): string => (tool.skip === false ? tool.path : "");
  const args = (...words: readonly string[]): string[] => [
    "--config",
    `${bed.folder}/crictl.yaml`,
    "attach",
    ...words,
  ];
  const attach = (...words: readonly string[]): LiveProgram =>
    new LiveProgram(program(), args(...words));
  const start = (command: readonly string[], change: object = {}): Promise<string> =>
    bed.cri.startContainer(pod, bed.images.shell.reference, command, change);
  const echo = ["sh", "-c", "while read line; do echo got $line; echo err $line >&2; done"];

  for (const transport of ["spdy", "websocket"]) {
    test(`${transport}: several clients write, and each has all output of both streams`, async () => {
      const container = await start(echo, { stdin: true });
      await using first = attach("-r", transport, "-i", container);
      first.write("one\n");
      await first.says(/got one/);
      await using second = attach("-r", transport, "-i", container);
      await using third = attach("-r", transport, container);
      // Attached for certain once it hears something.
      await until("all hear", () => {
        first.write("knock\n");
        return [second, third].every((client) => client.stdout.includes("got knock"));
      });
      second.write("two\n");
      for (const client of [first, second, third]) await client.says(/got two[\s\S]*err two/);
      first.child.kill("SIGKILL");
      second.write("three\n");
      for (const client of [second, third]) await client.says(/got three[\s\S]*err three/);
      assert.equal((await bed.cri.status(container)).state, "CONTAINER_RUNNING");
      await bed.cri.runtime.StopContainer({ containerId: container, timeout: 0n });
      assert.equal((await third.ended).code, 0);
    });

    test(`${transport}: stdin once: its end is the container's, with all output delivered`, async () => {
      const container = await start(["cat"], { stdin: true, stdinOnce: true });
      const bytes = 100 << 20;
      const passage = await passThrough(program(), args("-r", transport, "-i", container), bytes);
      assert.deepEqual([passage.code, passage.receivedBytes], [0, bytes]);
      assert.equal(passage.receivedSum, passage.sentSum);
      const { exitCode } = await bed.cri.reaches(container, "CONTAINER_EXITED");
      assert.equal(exitCode, 0);
    });
  }

  test("without stdin once the container's input stays open", async () => {
    const container = await start(echo, { stdin: true });
    await using brief = attach("-i", container);
    brief.write("one\n");
    await brief.says(/got one/);
    brief.child.stdin?.end();
    brief.child.kill("SIGKILL");
    await brief.ended;
    await using next = attach("-i", container);
    next.write("two\n");
    await next.says(/got two/);
  });

  test("a client that does not read is cut off and holds up nobody", async () => {
    const lines = 600_000; // more than all the buffers on the way take
    const line = "0123456789".repeat(10);
    const container = await start(
      ["sh", "-c", `read go; yes ${line} | head -n ${lines}; echo over; sleep 1000`],
      { stdin: true },
    );
    await using stuck = attach("-i", container);
    await using other = attach(container);
    stuck.child.stdout?.pause();
    stuck.write("go\n");
    const { logPath } = await bed.cri.status(container);
    await until(
      "the container has said all",
      async () => (await readFile(logPath, "utf8")).endsWith("stdout F over\n"),
      { timeoutMs: 180_000, everyMs: 500 },
    );
    stuck.child.stdout?.resume();
    const { stderr } = await stuck.ended;
    assert.match(stderr, /reads too slowly/);
    const log = await readFile(logPath, "utf8");
    assert.equal(log.split(` F ${line}\n`).length - 1, lines);
    assert.equal((await bed.cri.status(container)).state, "CONTAINER_RUNNING");
    await other.says(/over\n$/);
  });

  test("clients that come and vanish leave nothing open in the daemon", async () => {
    const container = await start(echo, { stdin: true });
    const open = async (): Promise<number> =>
      (await readdir(`/proc/${bed.daemon.pid()}/fd`)).length;
    const visit = async (transport: string, ms: number): Promise<void> => {
      await using client = attach("-r", transport, "-i", container);
      await sleep(ms);
      client.child.kill("SIGKILL");
    };
    // What the first ones make is kept for the next, so these are attached for certain.
    for (const transport of ["spdy", "websocket"]) {
      await using client = attach("-r", transport, "-i", container);
      client.write(`${transport}\n`);
      await client.says(new RegExp(`got ${transport}`));
    }
    const before = await open();
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        visit(index % 2 === 0 ? "spdy" : "websocket", 100 + index * 25),
      ),
    );
    await until("descriptors are as few as before", async () => (await open()) <= before + 2);
  });

  test("what a container says last reaches the client", async () => {
    const container = await start(
      ["sh", "-c", "read go; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"],
      { stdin: true },
    );
    await using client = attach("-i", container);
    client.write("go\n");
    const { code, stdout } = await client.ended;
    assert.equal(code, 0);
    assert.equal(stdout.length, 3_000_000 + "\nend\n".length);
  });

  test("works again at once after the daemon's restart, orderly or not", async () => {
    const container = await start(echo, { stdin: true });
    for (const end of ["stop", "kill9"] as const) {
      await using before = attach("-i", container);
      before.write(`${end}\n`);
      await before.says(new RegExp(`got ${end}`));
      await bed.daemon[end]();
      const { stderr } = await before.ended;
      if (end === "stop") assert.match(stderr, /berthd is stopping/);
      await bed.daemon.start();
      await using again = attach("-i", container);
      again.write(`after ${end}\n`);
      await again.says(new RegExp(`got after ${end}`));
    }
  });

  test("a terminal can be left and come back to", async () => {
    const container = await start(["sh"], { stdin: true, stdinOnce: true, tty: true });
    for (const word of ["first", "second"]) {
      await using client = new LiveProgram("script", [
        "-qec",
        `exec '${program()}' ${args("-i", "-t", container)
          .map((it) => `'${it}'`)
          .join(" ")}`,
        "/dev/null",
      ]);
      client.write(`echo ${word}-$((1+1))\n`);
      await client.says(new RegExp(`${word}-2`));
    }
    assert.equal((await bed.cri.status(container)).state, "CONTAINER_RUNNING");
  });
});
