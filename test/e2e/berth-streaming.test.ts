// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { askPort } from "../support/ask-port.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { RunningPod } from "../support/pods.ts";
import { processes, processesInCgroup } from "../support/processes.ts";
import { run } from "../support/run.ts";
import { LiveProgram, passThrough } from "../support/streaming/live-program.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../bin/berth");

suite("berth in running containers", { skip: lacking(...podPrograms, "script") }, () => {
  let bed: Testbed;
  let pod: RunningPod;
  let shell: string;
  before(async () => {
    bed = await openTestbed();
    pod = await bed.cri.runPod();
    shell = await bed.cri.startContainer(pod, bed.images.shell.reference, ["cat"], {
      metadata: { name: "shell", attempt: 0 },
      stdin: true,
    });
  });
  after(() => bed?.finish());

  const args = (...words: readonly string[]): string[] => ["-a", bed.daemon.socket, ...words];
  const berth = (...words: readonly string[]) => run(program, args(...words));
  const live = (...words: readonly string[]): LiveProgram =>
    new LiveProgram(program, args(...words));
  const inTerminal = (after: string, ...words: readonly string[]): LiveProgram => {
    const command = [program, ...args(...words)].map((word) => `'${word}'`).join(" ");
    return new LiveProgram("script", [
      "-qec",
      `stty rows 33 cols 77; ${command}; ${after}`,
      "/dev/null",
    ]);
  };
  const runs = (word: string): boolean =>
    processesInCgroup(bed.daemon.territory.cgroupParent).some(({ argv }) => argv.includes(word));

  test("exec: outputs and exit status, by id, its start, and name", async () => {
    for (const name of [shell, shell.slice(0, 12), "shell"]) {
      const answer = await berth("exec", name, "sh", "-c", "echo out; echo err >&2; exit 42");
      assert.deepEqual(answer, { code: 42, stdout: "out\n", stderr: "err\n" });
    }
    assert.deepEqual(await berth("exec", "shell", "echo", "-n", "-a"), {
      code: 0,
      stdout: "-a",
      stderr: "",
    });
  });

  test("exec: what cannot be is said in a line", async () => {
    const cases = [
      [["exec", "nobody", "true"], /^berth: container "nobody" not found\n$/],
      [["exec", "shell", "nope"], /^berth: cannot exec "nope": executable file not found/],
    ] as const;
    for (const [words, message] of cases) {
      const { code, stderr } = await berth(...words);
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
  });

  test("exec: a reader that has had enough ends it", async () => {
    const script = `set -o pipefail; '${program}' -a '${bed.daemon.socket}' exec shell yes 4902 | head -n 1`;
    const { code, stdout, stderr } = await run("bash", ["-c", script]);
    assert.deepEqual([code, stdout, stderr], [141, "4902\n", ""]);
    await until("it is gone", () => !runs("4902"));
  });

  test("exec: 100 MiB each way arrive whole", async () => {
    const passage = await passThrough(program, args("exec", "-i", "shell", "cat"), 100 << 20);
    assert.deepEqual([passage.code, passage.receivedBytes], [0, 100 << 20]);
    assert.equal(passage.receivedSum, passage.sentSum);
  });

  test("exec: a terminal is passed on, and ours is as it was afterwards", async () => {
    await using client = inTerminal("echo mode:; stty -a", "exec", "-it", "shell", "sh");
    client.write("stty size; exit 3\n");
    const { stdout } = await client.ended;
    assert.match(stdout, /33 77/);
    assert.match(stdout.slice(stdout.indexOf("mode:")), / icanon[\s\S]* echo /);
  });

  test("exec: a signal ends it, gives the terminal back, and takes the process along", async () => {
    await using client = inTerminal("echo mode:; stty -a", "exec", "-it", "shell", "sleep", "4901");
    await until("it runs", () => runs("4901"));
    const asked = [...args("exec", "-it", "shell"), "sleep", "4901"].join(" ");
    const clients = processes(({ argv }) => argv.join(" ").endsWith(asked));
    assert.notDeepEqual(clients, []);
    for (const { pid } of clients) {
      const comm = (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
      if (comm !== "script" && comm !== "sh") process.kill(pid, "SIGTERM");
    }
    const { stdout } = await client.ended;
    assert.match(stdout.slice(stdout.indexOf("mode:")), / icanon[\s\S]* echo /);
    await until("it is gone", () => !runs("4901"));
  });

  test("attach: joins the container's own streams", async () => {
    await using client = live("attach", "-i", "shell");
    await until("it answers", () => {
      client.write("knock\n");
      return client.stdout.includes("knock");
    });
    client.child.kill("SIGINT");
    assert.equal((await client.ended).code, 130);
    assert.equal((await bed.cri.status(shell)).state, "CONTAINER_RUNNING");
  });

  test("logs: both streams, the last lines, and following to the end", async () => {
    const talker = await bed.cri.startContainer(
      pod,
      bed.images.shell.reference,
      ["sh", "-c", "echo one; echo two >&2; printf half; sleep 0.5; echo ' line'; echo last"],
      { metadata: { name: "talker", attempt: 0 } },
    );
    await using follower = live("logs", "-f", "talker");
    assert.deepEqual(await follower.ended, {
      code: 0,
      stdout: "one\nhalf line\nlast\n",
      stderr: "two\n",
    });
    assert.equal((await berth("logs", "--tail", "1", talker)).stdout, "last\n");
    assert.match((await berth("logs", "--timestamps", talker)).stdout, /^\d{4}-\S+Z one\n/);
    assert.equal((await berth("logs", "--since", "1h", talker)).stderr, "two\n");
  });

  test("port-forward: connections with half-closes, and a refused port", async () => {
    await bed.cri.startContainer(pod, bed.images.shell.reference, [
      "nc",
      "-ll",
      "-p",
      "7101",
      "-e",
      "tr",
      "a-z",
      "A-Z",
    ]);
    await using client = live("port-forward", pod.id.slice(0, 12), ":7101", ":7102");
    await client.says(/127\.0\.0\.1:\d+ to 7102/);
    const port = (remote: number): number =>
      Number(new RegExp(`127\\.0\\.0\\.1:(\\d+) to ${remote}`).exec(client.stdout)?.[1]);
    // A start is answered before its program is at work.
    await until("it listens", async () => (await askPort(port(7101), "knock")) === "KNOCK");
    for (const text of ["first", "second".repeat(100_000)]) {
      assert.equal(await askPort(port(7101), text), text.toUpperCase());
    }
    assert.equal(await askPort(port(7102), "x"), "");
    await client.says(/berth: cannot connect to port 7102: 127\.0\.0\.1: connection refused/);
    assert.equal(await askPort(port(7101), "third"), "THIRD");
    client.child.kill("SIGINT");
    assert.equal((await client.ended).code, 130);
  });

  test("cp: files and folders into a container and out of it", async () => {
    const folder = path.join(bed.folder, "to copy");
    await mkdir(path.join(folder, "sub"), { recursive: true });
    await writeFile(path.join(folder, "a"), "alpha\n");
    await chmod(path.join(folder, "a"), 0o750); // whatever the umask is
    await writeFile(path.join(folder, "sub/b c"), Buffer.alloc(3_000_000, "b"));
    await writeFile(path.join(folder, "empty"), "");
    assert.deepEqual(await berth("cp", folder, "shell:/tmp"), { code: 0, stdout: "", stderr: "" });
    const { stdout } = await berth(
      "exec",
      "shell",
      "sh",
      "-c",
      "cd '/tmp/to copy'; stat -c %a a; cat a; wc -c 'sub/b c' empty",
    );
    assert.match(stdout, /^750\nalpha\n\s*3000000 sub\/b c\n\s*0 empty\n/);
    assert.deepEqual(await berth("cp", path.join(folder, "a"), "shell:/tmp/renamed"), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.equal((await berth("exec", "shell", "cat", "/tmp/renamed")).stdout, "alpha\n");

    const back = path.join(bed.folder, "back");
    assert.deepEqual(await berth("cp", "shell:/tmp/to copy", back), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.equal(await readFile(path.join(back, "a"), "utf8"), "alpha\n");
    assert.equal((await stat(path.join(back, "a"))).mode & 0o777, 0o750);
    assert.equal((await stat(path.join(back, "sub/b c"))).size, 3_000_000);
    assert.deepEqual(await berth("cp", "shell:/tmp/renamed", back), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.equal(await readFile(path.join(back, "renamed"), "utf8"), "alpha\n");

    const missing = await berth("cp", "shell:/none", back);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /none/);
    const absent = path.join(bed.folder, "absent");
    assert.deepEqual(await berth("cp", absent, "shell:/tmp"), {
      code: 1,
      stdout: "",
      stderr: `berth: ${absent} not found\n`,
    });
    const lost = await berth("cp", "shell:/tmp/renamed", path.join(absent, "deep", "down"));
    assert.equal(lost.code, 1);
    assert.match(lost.stderr, /^berth: .*\/deep: no such file or directory\n$/);
  });

  test("cp: names of any bytes, hard links and links come along, and what does not is told", async () => {
    const sh = async (script: string): Promise<string> =>
      (await berth("exec", "shell", "sh", "-c", script)).stdout;
    await sh(
      "mkdir /odd && cd /odd && echo x > $(printf 'o\\377\\376') && echo one > one && ln one two && ln -s one link && mkfifo pipe && touch -d '2001-09-09 01:46:40' one",
    );
    const here = path.join(bed.folder, "odd");
    const out = await berth("cp", "shell:/odd", here);
    assert.deepEqual(out, { code: 0, stdout: "", stderr: "berth: left out odd/pipe: a fifo\n" });
    const odd = Buffer.from([0x6f, 0xff, 0xfe]);
    const names = await readdir(here, { encoding: "buffer" });
    assert.deepEqual(
      new Set(names.map((it) => it.toString("latin1"))),
      new Set([odd.toString("latin1"), "one", "two", "link"]),
    );
    const [one, two] = await Promise.all(["one", "two"].map((name) => stat(path.join(here, name))));
    assert.deepEqual([two?.ino, one?.mtimeMs], [one?.ino, 1_000_000_000_000]);
    assert.equal(await readlink(path.join(here, "link")), "one");

    const back = await berth("cp", here, "shell:/again");
    assert.deepEqual(back, { code: 0, stdout: "", stderr: "" });
    const seen = await sh(
      "cd /again && cat $(printf 'o\\377\\376') link; test one -ef two && stat -c %Y one",
    );
    assert.equal(seen, "x\none\n1000000000\n");
  });

  test("an empty name is nobody's, though every id starts with it", async () => {
    for (const command of [
      ["exec", "", "true"],
      ["attach", ""],
      ["logs", ""],
      ["port-forward", "", "80"],
      ["pod", "inspect", ""],
      ["cp", ":/etc/passwd", bed.folder],
    ]) {
      const { code, stderr } = await berth(...command);
      assert.equal(code, 2, command.join(" "));
      assert.match(stderr, /is empty|must be CONTAINER:PATH/);
    }
  });

  test("cp: what a container sends goes nowhere else", async () => {
    const target = path.join(bed.folder, "target");
    const elsewhere = path.join(bed.folder, "elsewhere");
    await mkdir(path.join(target, "dir"), { recursive: true });
    await mkdir(elsewhere);
    await symlink(elsewhere, path.join(target, "dir/link"));
    await berth(
      "exec",
      "shell",
      "sh",
      "-c",
      "mkdir -p /x/dir/link && echo bad > /x/dir/link/file && ln -s /etc/passwd /x/dir/passwd",
    );
    const { code, stderr } = await berth("cp", "shell:/x/dir", target);
    assert.equal(code, 1);
    assert.match(stderr, /by a link: refused/);
    await assert.rejects(stat(path.join(elsewhere, "file")));
    await assert.rejects(stat(path.join(target, "dir/passwd")));
  });
});
