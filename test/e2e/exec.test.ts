// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../../src/base/errors.ts";
import { type Crictl, makeCrictl } from "../support/crictl.ts";
import { toolOrReason } from "../support/go-tools.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { processesInCgroup } from "../support/processes.ts";
import { LiveProgram, passThrough } from "../support/streaming/live-program.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const tool = await toolOrReason("crictl");
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

suite("Exec", { skip: lacking(...podPrograms, "script") || tool.skip }, () => {
  let bed: Testbed;
  let crictl: Crictl;
  let pod: Awaited<ReturnType<Testbed["cri"]["runPod"]>>;
  let container: string;
  before(async () => {
    bed = await openTestbed();
    crictl = await makeCrictl(program(), bed.daemon, bed.folder);
    pod = await bed.cri.runPod();
    container = await bed.cri.startContainer(pod, bed.images.shell.reference, forever);
  });
  after(() => bed?.finish());

  const program = (): string => (tool.skip === false ? tool.path : "");
  const runs = (word: string): boolean =>
    processesInCgroup(bed.daemon.territory.cgroupParent).some(({ argv }) => argv.includes(word));
  const live = (...args: readonly string[]): LiveProgram =>
    new LiveProgram(program(), ["--config", `${bed.folder}/crictl.yaml`, ...args]);
  /** crictl below a terminal of 33 rows and 77 columns. */
  const inTerminal = (...args: readonly string[]): LiveProgram => {
    const words = [program(), "--config", `${bed.folder}/crictl.yaml`, ...args];
    const command = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    return new LiveProgram("script", [
      "-qec",
      `stty rows 33 cols 77; exec ${command}`,
      "/dev/null",
    ]);
  };

  for (const transport of ["spdy", "websocket"]) {
    const exec = (...args: readonly string[]) => crictl.run("exec", "-r", transport, ...args);

    test(`${transport}: both outputs and success`, async () => {
      const answer = await exec(container, "sh", "-c", "echo out; echo err >&2");
      assert.deepEqual(answer, { code: 0, stdout: "out\n", stderr: "err\n" });
    });

    const endings = [
      { name: "an exit code", command: ["sh", "-c", "exit 42"], told: /exit code 42/ },
      { name: "a signal", command: ["sh", "-c", "kill -9 $$"], told: /exit code 137/ },
      { name: "no such command", command: ["nope"], told: /cannot exec .*nope.*not found/ },
      { name: "no program", command: ["/etc/passwd"], told: /cannot exec .*permission denied/ },
    ];
    for (const { name, command, told } of endings) {
      test(`${transport}: ${name} is told`, async () => {
        const { code, stderr } = await exec(container, ...command);
        assert.equal(code, 1);
        assert.match(stderr, told);
      });
    }

    test(`${transport}: the end of stdin reaches the process, and its last words the client`, async () => {
      await using cat = live("exec", "-r", transport, "-i", container, "sh", "-c", "cat; echo end");
      cat.write("one\n");
      await cat.says(/one/);
      cat.child.stdin?.end("two\n");
      assert.deepEqual(await cat.ended, { code: 0, stdout: "one\ntwo\nend\n", stderr: "" });
    });

    test(`${transport}: 100 MiB each way arrive whole`, async () => {
      const args = ["--config", `${bed.folder}/crictl.yaml`, "exec", "-r", transport];
      const bytes = 100 << 20;
      const passage = await passThrough(program(), [...args, "-i", container, "cat"], bytes);
      assert.deepEqual([passage.code, passage.receivedBytes], [0, bytes]);
      assert.equal(passage.receivedSum, passage.sentSum);
    });

    test(`${transport}: a terminal has the client's size`, async () => {
      await using shell = inTerminal("exec", "-r", transport, "-it", container, "sh");
      shell.write("tty; stty size; echo $TERM\n");
      await shell.says(/\/dev\/pts\/\d+\s[\s\S]*33 77\s[\s\S]*xterm/);
      shell.write("exit 5\n");
      const { code, stdout } = await shell.ended;
      assert.equal(code, 1);
      assert.match(stdout, /exit code 5/);
    });

    test(`${transport}: a process sees its terminal's size from the start`, async () => {
      await using client = inTerminal("exec", "-r", transport, "-it", container, "stty", "size");
      assert.match((await client.ended).stdout, /33 77/);
    });

    test(`${transport}: a client that vanishes takes its process along`, async () => {
      await using client = live("exec", "-r", transport, container, "sleep", "4801");
      await until("it runs", () => runs("4801"));
      client.child.kill("SIGKILL");
      await until("it is gone", () => !runs("4801"));
    });

    test(`${transport}: a child in the background does not hold the client`, async () => {
      const { code, stdout } = await exec(container, "sh", "-c", "sleep 4802 & echo started");
      assert.deepEqual([code, stdout], [0, "started\n"]);
      await exec(container, "sh", "-c", "kill -9 $(pidof sleep) 2>/dev/null; true");
      container = await bed.cri.startContainer(pod, bed.images.shell.reference, forever);
    });
  }

  test("a container that stops in the middle ends its execs", async () => {
    const doomed = await bed.cri.startContainer(pod, bed.images.shell.reference, forever);
    await using client = live("exec", doomed, "sleep", "4803");
    await until("it runs", () => runs("4803"));
    await bed.cri.runtime.StopContainer({ containerId: doomed, timeout: 0n });
    const { code, stderr } = await client.ended;
    assert.equal(code, 1);
    assert.match(stderr, /exit code 137/);
  });

  test("twenty at once each get their own", async () => {
    const numbers = Array.from({ length: 20 }, (_, index) => `number-${index}`);
    const answers = await Promise.all(numbers.map((n) => crictl.run("exec", container, "echo", n)));
    assert.deepEqual(
      answers.map(({ stdout }) => stdout.trim()),
      numbers,
    );
  });

  test("clients that vanish at any moment leave nothing behind", async () => {
    await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const transport = index % 2 === 0 ? "spdy" : "websocket";
        await using client = live("exec", "-r", transport, container, "sleep", "4807");
        await sleep(index * 25);
        client.child.kill("SIGKILL");
      }),
    );
    const fifos = path.join(bed.daemon.territory.state, "fifo");
    await until("no process and no FIFOs are left", async () => {
      const folders = await readdir(fifos, { recursive: true });
      return (
        !runs("4807") && !folders.some((name) => path.basename(name).startsWith(`${container}-`))
      );
    });
  });

  test("refuses what cannot be", async () => {
    const { runtime } = bed.cri;
    const ended = await bed.cri.startContainer(pod, bed.images.shell.reference, ["true"]);
    await bed.cri.reaches(ended, "CONTAINER_EXITED");
    const base = { containerId: container, cmd: ["true"], stdout: true };
    const cases = [
      [{ ...base, stdout: false }, "INVALID_ARGUMENT", /stdin, stdout and stderr/],
      [{ ...base, tty: true, stderr: true }, "INVALID_ARGUMENT", /tty and stderr/],
      [{ ...base, cmd: [] }, "INVALID_ARGUMENT", /command/],
      [{ ...base, containerId: "none" }, "NOT_FOUND", /"none"/],
      [{ ...base, containerId: ended }, "FAILED_PRECONDITION", /state is exited, not running/],
    ] as const;
    for (const [request, code, message] of cases) {
      await assert.rejects(
        runtime.Exec(request),
        (error) => isFault(error, code) && message.test(error.message),
        code,
      );
    }
  });

  test("a stopping daemon says why it cuts a session, and takes the process along", async () => {
    await using client = live("exec", container, "sleep", "4804");
    await until("it runs", () => runs("4804"));
    await bed.daemon.stop();
    const { code, stderr } = await client.ended;
    assert.equal(code, 1);
    assert.match(stderr, /berthd is stopping/);
    await until("it is gone", () => !runs("4804"), { timeoutMs: 5_000 });
    await bed.daemon.start();
    assert.equal(await crictl("exec", container, "echo", "back"), "back\n");
  });

  test("a daemon that was killed ends, once it is back, the processes of its clients", async () => {
    await using client = live("exec", container, "sleep", "4805");
    const probe = bed.cri
      .exec(container, ["sleep", "4806"])
      .catch(() => ({ exitCode: -1, stdout: "", stderr: "" }));
    await until("both run", () => runs("4805") && runs("4806"));
    await bed.daemon.kill9();
    await Promise.all([client.ended, probe]);
    assert.ok(runs("4805"));
    await bed.daemon.start();
    await until("both are gone", () => !runs("4805") && !runs("4806"));
    assert.equal(await crictl("exec", container, "echo", "back"), "back\n");
  });
});
