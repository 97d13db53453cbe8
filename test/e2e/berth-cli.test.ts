// SPDX-License-Identifier: Apache-2.0
// The client `berth` against a real daemon: containers, tasks, their streams and exit statuses.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { type RunOptions, type RunResult, run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

/** Each command is a process of its own, on a machine that may be busy. */
const slow = { timeoutMs: 60_000 };

const program = path.resolve(import.meta.dirname, "../../bin/berth");

suite("berth on a real daemon", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let shell: string;
  // runc keeps the containers of all daemons in one folder.
  const tag = `-${randomBytes(3).toString("hex")}`;
  const named = (name: string): string => `${name}${tag}`;
  before(async () => {
    bed = await openTestbed();
    shell = bed.images.shell.reference;
  });
  after(async () => {
    // Also of a test that failed: its containers are nobody's pods, and would be found as leaks.
    for (const one of await json<{ id: string }[]>("container", "ls")) {
      if (one.id.endsWith(tag)) await berth(["container", "rm", "--force", one.id]);
    }
    await bed?.finish();
  });

  const env = (): Record<string, string> => ({ BERTH_ADDRESS: bed.daemon.socket });
  const berth = (args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
    run(program, args, { ...options, env: { ...env(), ...options.env } });
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(args);
    assert.equal(code, 0, `berth ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const json = async <T>(...args: readonly string[]): Promise<T> =>
    JSON.parse(await ok("--json", ...args)) as T;
  const ids = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

  test("run passes on streams and the exit status, and --rm leaves nothing", async () => {
    const script = "cat; echo err >&2; echo $FOO; pwd; exit 7";
    const args = [
      "run",
      "--rm",
      "-e",
      "FOO=bar",
      "--cwd",
      "/tmp",
      shell,
      "once",
      "sh",
      "-c",
      script,
    ];
    const { code, stdout, stderr } = await berth(args, { input: "typed\n" });
    assert.deepEqual([code, stdout, stderr], [7, "typed\nbar\n/tmp\n", "err\n"]);
    assert.ok(!ids(await json("container", "ls")).includes(named("once")));
    assert.ok(!ids(await json("task", "ls")).includes(named("once")));
  });

  test("run --rm ends with the reader of its output, and leaves nothing", async () => {
    const script = 'set -o pipefail; "$0" "$@" | head -n 1';
    const args = [program, "run", "--rm", shell, named("endless"), "yes"];
    const { code, stdout, stderr } = await run("bash", ["-c", script, ...args], { env: env() });
    assert.deepEqual([code, stdout, stderr], [141, "y\n", ""]);
    assert.ok(!ids(await json("container", "ls")).includes(named("endless")));
    assert.ok(!ids(await json("task", "ls")).includes(named("endless")));
  });

  test("a socket that is for others is told from a daemon that is not there", async () => {
    const socket = path.join(bed.folder, "others.sock");
    await using server = createServer();
    server.listen(socket);
    await once(server, "listening");
    await chmod(socket, 0);
    const limits = ["--bounding-set", "-dac_override,-dac_read_search"];
    const { code, stderr } = await run("setpriv", [...limits, program, "-a", socket, "status"]);
    assert.equal(code, 1);
    assert.match(stderr, /^berth: cannot reach berthd on .+: permission denied\nberth: .*sudo\n$/);
  });

  test("run leaves flags after the id to the command", async () => {
    const { code, stdout } = await berth([
      "run",
      "--rm",
      shell,
      "flags",
      "echo",
      "-n",
      "--json",
      "-a",
    ]);
    assert.deepEqual([code, stdout], [0, "--json -a"]);
  });

  test("run carries a megabyte each way without losing a byte", async () => {
    const input = "0123456789abcde\n".repeat(64 * 1024);
    const { code, stdout } = await berth(["run", "--rm", shell, named("big"), "cat"], { input });
    assert.equal(code, 0);
    assert.equal(stdout.length, input.length);
    assert.equal(stdout, input);
  });

  test("run with a command that is not there undoes everything", async () => {
    const { code, stderr } = await berth(["run", "--rm", shell, named("missing"), "/no/such"]);
    assert.equal(code, 1);
    assert.match(stderr, /^berth: .*\/no\/such/s);
    assert.ok(!ids(await json("container", "ls")).includes(named("missing")));
    const unknown = await berth(["run", "no/such:image", "x", "true"]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /image "no\/such:image" not found in namespace "k8s\.io"/);
    const elsewhere = await berth(["-n", "elsewhere", "run", "no/such:image", "x", "true"]);
    assert.equal(elsewhere.code, 1);
    assert.doesNotMatch(await ok("ns", "ls"), /elsewhere/);
  });

  test("command lines that no daemon could heed end with the status of their usage", async () => {
    for (const [words, message] of [
      [["run", shell, "bad id"], /container id "bad id" is invalid/],
      [["container", "create", shell, "bad id"], /container id "bad id" is invalid/],
      [["task", "exec", "--exec-id", "bad id", "x", "true"], /exec id "bad id" is invalid/],
      [["-n", "bad id", "task", "ls"], /namespace "bad id" is invalid/],
      [["events", "--filter", "topic=~x"], /bad filter|filter/],
      [["container", "ls", "--filter", "id=~x"], /filter/],
      [["image", "push", "--platform", "linux/amd64", "--all-platforms", shell], /one platform/],
    ] as const) {
      const { code, stderr } = await berth(words);
      assert.equal(code, 2, words.join(" "));
      assert.match(stderr, message);
    }
  });

  test("run --privileged gives what the machine allows", async () => {
    assert.equal(
      await ok("run", "--rm", "--privileged", shell, named("open"), "echo", "up"),
      "up\n",
    );
  });

  test("commands for pods tell of a container that is none's", async () => {
    await ok("container", "create", shell, named("alone"), "true");
    for (const words of [
      ["exec", named("alone"), "true"],
      ["logs", named("alone")],
      ["attach", named("alone")],
    ]) {
      const { code, stderr } = await berth(words);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^berth: container ".+" is no pod's: see berth task exec, berth task attach\n$/,
      );
    }
    await ok("container", "rm", named("alone"));
  });

  test("a signal that run gets goes to its process", async () => {
    const script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    const child = spawn(program, ["run", "--rm", shell, named("signalled"), "sh", "-c", script], {
      env: { ...process.env, ...env() },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
    await until("the process is ready", async () => out.includes("ready"), slow);
    child.kill("SIGTERM");
    const [code] = (await once(child, "close")) as [number];
    assert.deepEqual([code, out], [3, "ready\ngot\n"]);
  });

  test("run -t gives a terminal", { skip: lacking("script") }, async () => {
    const quoted = [
      program,
      "run",
      "--rm",
      "-t",
      shell,
      named("tty"),
      "sh",
      "-c",
      "tty; stty size; exit 4",
    ]
      .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
      .join(" ");
    const inner = `stty rows 31 cols 97; before=$(stty -g); ${quoted}; code=$?; [ "$before" = "$(stty -g)" ] && echo restored; exit $code`;
    const { code, stdout } = await run("script", ["-qec", inner, "/dev/null"], { env: env() });
    assert.match(stdout, /\/dev\/pts\/0[\r\n]+31 97[\r\n]+restored/);
    assert.equal(code, 4);
  });

  suite("a task that stays", () => {
    const id = named("stays");
    const script =
      "trap 'exit 5' TERM; trap 'exit 6' USR1; echo started; while :; do sleep 0.1; done";
    let log: string;
    before(async () => {
      log = path.join(bed.folder, "stays.log");
      await ok(
        "run",
        "-d",
        "--log",
        log,
        "--label",
        "app=web",
        "--memory",
        "64MiB",
        shell,
        id,
        "sh",
        "-c",
        script,
      );
    });

    test("is listed, has processes and metrics, and writes its log", async () => {
      const tasks = await json<{ id: string; status: string; pid: number }[]>("task", "ls");
      const task = tasks.find((one) => one.id === id);
      assert.equal(task?.status, "RUNNING");
      assert.match(await ok("task", "ls"), new RegExp(String.raw`^${id} +\d+ +running +-$`, "m"));
      assert.match(await ok("task", "ps", id), new RegExp(`^${task?.pid} `, "m"));
      assert.match(
        await ok("task", "metrics", id),
        /^memory +[\d.]+[KM]iB\ncpu +[\d.]+s\nprocesses +\d+$/m,
      );
      await until("the log", async () => (await readFile(log, "utf8")) === "started\n", slow);
    });

    test("its container can be looked at and labelled", async () => {
      assert.match(
        await ok("container", "ls", "--filter", "labels.app==web"),
        new RegExp(String.raw`^${id} +\S+shell:1 +io\.containerd\.runc\.v2$`, "m"),
      );
      const info = JSON.parse(await ok("container", "info", id)) as {
        spec: { linux: { resources: { memory: { limit: number } } } };
        labels: Record<string, string>;
      };
      assert.equal(info.spec.linux.resources.memory.limit, 64 * 1024 * 1024);
      assert.deepEqual(await json("container", "label", id, "tier=front", "app="), {
        tier: "front",
      });
    });

    test("exec passes on streams and exit status", async () => {
      const given = await berth(
        ["task", "exec", "-e", "A=1", id, "sh", "-c", "cat; echo $A; exit 9"],
        { input: "in " },
      );
      assert.deepEqual([given.code, given.stdout], [9, "in 1\n"]);
      const user = await ok(
        "task",
        "exec",
        "--user",
        "12:34",
        "--cwd",
        "/tmp",
        id,
        "sh",
        "-c",
        "id -u; id -g; pwd",
      );
      assert.equal(user, "12\n34\n/tmp\n");
    });

    test("an exec that nobody stays with is waited for, killed and removed by its id", async () => {
      await ok("task", "exec", "-d", "--exec-id", "e1", id, "sleep", "1000");
      const waiting = berth(["task", "wait", "--exec-id", "e1", id]);
      const early = await berth(["task", "delete", "--exec-id", "e1", id]);
      assert.equal(early.code, 1);
      assert.match(early.stderr, /e1/);
      await ok("task", "kill", "--exec-id", "e1", id, "KILL");
      assert.deepEqual([(await waiting).code, (await waiting).stdout], [137, "137\n"]);
      assert.equal((await berth(["task", "delete", "--exec-id", "e1", id])).code, 137);
    });

    test("is paused and goes on", async () => {
      await ok("task", "pause", id);
      assert.match(await ok("task", "ls"), new RegExp(String.raw`^${id} +\d+ +paused`, "m"));
      await ok("task", "resume", id);
      assert.match(await ok("task", "ls"), new RegExp(String.raw`^${id} +\d+ +running`, "m"));
    });

    test("cannot be deleted while it runs, nor its container; wait has its exit status", async () => {
      assert.match((await berth(["task", "delete", id])).stderr, /^berth: .*stays/);
      assert.match((await berth(["container", "rm", id])).stderr, /it has a task/);
      const waiting = berth(["task", "wait", id]);
      await ok("task", "kill", id);
      assert.equal((await waiting).code, 5);
      assert.equal((await berth(["task", "delete", id])).code, 5);
    });

    test("starts again on the same files", async () => {
      await ok("task", "start", "-d", id);
      await ok("task", "exec", id, "touch", "/kept");
      await ok("task", "delete", "--force", id);
      await ok("task", "start", "-d", id);
      await ok("task", "exec", id, "ls", "/kept");
      await ok("container", "rm", "--force", id);
      assert.ok(!ids(await json("container", "ls")).includes(id));
    });
  });

  test("attach joins a task's streams", async () => {
    const first = spawn(
      program,
      [
        "run",
        "--rm",
        shell,
        named("joined"),
        "sh",
        "-c",
        "while read line; do echo got $line; [ $line = end ] && exit 8; done",
      ],
      { env: { ...process.env, ...env() }, stdio: ["pipe", "pipe", "inherit"] },
    );
    await until(
      "the task runs",
      async () => (await ok("task", "ls")).includes(named("joined")),
      slow,
    );
    // The one who stayed with it goes without a word, as when its terminal is closed.
    first.kill("SIGKILL");
    await once(first, "close");
    const { code, stdout } = await berth(["task", "attach", named("joined")], {
      input: "one\nend\n",
    });
    assert.match(stdout, /got one\ngot end\n$/);
    assert.equal(code, 8);
    await ok("container", "rm", "--force", named("joined"));
  });

  test("events prints one JSON object a line", async () => {
    const child = spawn(
      program,
      ["events", "--json", "--filter", "topic~=^/tasks/", "-n", "watched"],
      {
        env: { ...process.env, ...env() },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let out = "";
    child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
    try {
      await ok("namespace", "create", "watched", "team=a");
      // Subscribing cannot be seen from outside: events are made until one has come.
      await until(
        "an exit is seen",
        async () => {
          await ok("-n", "k8s.io", "run", "--rm", shell, named("noise"), "true");
          const events = bed.daemon.client("containerd.services.events.v1.Events");
          const event = { type_url: "containerd.events.TaskExit", value: Buffer.alloc(0) };
          await events.Publish({ topic: "/tasks/exit", event }, { namespace: "watched" });
          return out.includes("\n");
        },
        slow,
      );
      const seen = out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { namespace: string; topic: string });
      assert.deepEqual(seen.map(({ namespace, topic }) => [namespace, topic])[0], [
        "watched",
        "/tasks/exit",
      ]);
      assert.ok(seen.every(({ namespace }) => namespace === "watched"));
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
    assert.match(await ok("namespace", "ls"), /^watched +team=a$/m);
    assert.deepEqual(await json("namespace", "label", "watched", "team=", "x=y"), { x: "y" });
    await ok("namespace", "rm", "watched");
    assert.match((await berth(["namespace", "rm", "k8s.io"])).stderr, /it still has/);
  });

  test("checkpoint keeps a task's state, or tells CRIU's reason", async () => {
    await ok("run", "-d", shell, named("kept"), "sleep", "1000");
    const folder = path.join(bed.folder, "image");
    const { code, stderr } = await berth([
      "task",
      "checkpoint",
      "--image-path",
      folder,
      named("kept"),
    ]);
    if (code === 0) assert.ok((await readdir(folder)).length > 0);
    else assert.match(stderr, /^berth: .+/);
    await ok("container", "rm", "--force", named("kept"));
  });

  test("completion knows tasks, and bash takes the script", { skip: lacking("bash") }, async () => {
    await ok("run", "-d", shell, named("to-complete"), "sleep", "1000");
    assert.equal(await ok("complete", "--", "task", "kill", "to-"), `${named("to-complete")}\n`);
    const script = [
      `source <('${program}' completion bash)`,
      `berth() { '${program}' "$@"; }`,
      "COMP_LINE='berth task ki' COMP_POINT=13; _berth; printf '%s\\n' \"${COMPREPLY[@]}\"",
      "COMP_LINE='berth task kill ' COMP_POINT=16; _berth; printf '%s\\n' \"${COMPREPLY[@]}\"",
    ].join("\n");
    const { stdout, stderr } = await run("bash", ["-c", script], { env: env() });
    assert.equal(stderr, "");
    assert.deepEqual(stdout.split("\n").slice(0, 2), ["kill", named("to-complete")]);
    await ok("container", "rm", "--force", named("to-complete"));
  });
});
