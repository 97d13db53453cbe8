// SPDX-License-Identifier: Apache-2.0
// The whole life of images and containers by Debian's ctr alone, without CRI, in namespaces of its own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { endChild } from "../support/registry.ts";
import { must, type RunResult, run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const programs = [...podPrograms, "ctr", "script"];

suite("a whole cycle by Debian's ctr", { skip: lacking(...programs) }, () => {
  let bed: Testbed;
  let archive: string;
  const image = "example.com/cycle/shell:1";
  // runc's state folder is the machine's, so another suite's containers must not have our names.
  const tag = randomBytes(3).toString("hex");
  const name = (what: string): string => `${what}-${tag}`;
  before(async () => {
    bed = await openTestbed();
    archive = path.join(bed.folder, "shell.tar");
    await must("skopeo", [
      "copy",
      "--quiet",
      "--insecure-policy",
      "--src-tls-verify=false",
      `docker://${bed.images.shell.reference}`,
      `docker-archive:${archive}:${image}`,
    ]);
    await ctr("images", "import", archive);
  });
  after(() => bed?.finish());

  const argv = (args: readonly string[]): string[] => ["--address", bed.daemon.socket, ...args];
  const ctr = (...args: readonly string[]): Promise<string> => must("ctr", argv(args));
  const tryCtr = (...args: readonly string[]): Promise<RunResult> => run("ctr", argv(args));
  const ids = async (...args: readonly string[]): Promise<string[]> =>
    (await ctr(...args)).split("\n").filter((line) => line !== "");
  /** The first column of a table without its head. */
  const column = async (...args: readonly string[]): Promise<string[]> =>
    (await ids(...args)).slice(1).map((line) => line.trim().split(/\s+/)[0] ?? "");
  const stateOf = async (task: string): Promise<string | undefined> =>
    (await ids("tasks", "ls")).map((line) => line.split(/\s+/)).find(([id]) => id === task)?.[2];
  const counts = async (...namespace: readonly string[]): Promise<readonly [number, number]> => [
    (await ids(...namespace, "content", "ls", "-q")).length,
    (await column(...namespace, "snapshots", "ls")).length,
  ];
  /** What nobody needs any more is collected when this returns, and does not go between two counts. */
  const collected = async (...namespace: readonly string[]): Promise<void> => {
    await ctr(...namespace, "leases", "create", "--id", "passing");
    await ctr(...namespace, "leases", "rm", "--sync", "passing");
  };
  const inState = (task: string, state: string | undefined): Promise<unknown> =>
    until(`task ${task} is ${state}`, async () => (await stateOf(task)) === state);

  /**
   * ctr with a stdin that stays open: one that ends before the task exists is never passed on, since
   * ctr 1.6 has nobody to tell then.
   */
  const attached = (...args: readonly string[]) => {
    const child = spawn("ctr", argv(args), { stdio: ["pipe", "pipe", "ignore"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
      child.once("close", (code) => resolve({ code, output }));
    });
    return { stdin: child.stdin, ended };
  };

  test("images: ls, tag, label, check, mount, rm of one of two names", async () => {
    assert.deepEqual(await ids("images", "ls", "-q"), [image]);
    await ctr("images", "tag", image, "example.com/other:2");
    await ctr("images", "label", "example.com/other:2", "kind=copy");
    assert.deepEqual(await ids("images", "ls", "-q", "labels.kind==copy"), ["example.com/other:2"]);
    assert.match(await ctr("images", "check", `name==${image}`), /complete \(2\/2\).*true/);
    const target = path.join(bed.folder, "mounted");
    await mkdir(target);
    await ctr("images", "mount", image, target);
    assert.ok(existsSync(path.join(target, "bin/sh")));
    await ctr("images", "unmount", "--rm", target);
    await collected();
    const before = await counts();
    await ctr("images", "rm", "--sync", "example.com/other:2");
    assert.deepEqual(await counts(), before);
  });

  test("images: pull over plain http, export, rm, import again; nothing is left after", async () => {
    const ns = ["--namespace", "pulling"];
    const { reference } = bed.images.worker;
    await ctr(...ns, "images", "pull", "--plain-http", reference);
    assert.deepEqual(await counts(...ns), [4, 2]);
    const sources = await ids(...ns, "content", "ls");
    assert.equal(sources.filter((line) => line.includes("distribution.source.")).length, 4);
    const exported = path.join(bed.folder, "worker.tar");
    await ctr(...ns, "images", "export", exported, reference);
    await ctr(...ns, "images", "rm", "--sync", reference);
    assert.deepEqual(await counts(...ns), [0, 0]);
    await ctr(...ns, "images", "import", exported);
    assert.deepEqual(await ids(...ns, "images", "ls", "-q"), [reference]);
    await ctr(...ns, "images", "rm", reference);
    // Without --sync the collection follows soon.
    await until("the image's content is gone", async () =>
      (await counts(...ns)).every((count) => count === 0),
    );
    assert.deepEqual(await ids(...ns, "leases", "ls", "-q"), []);
    await ctr("namespaces", "rm", "pulling");
  });

  test("content: get gives the bytes, ls filters, a namespace does not see another's", async () => {
    const [digest] = await ids("content", "ls", "-q");
    assert.ok(digest);
    const { stdout } = await run("sh", [
      "-c",
      `ctr -a "$1" content get ${digest} | sha256sum`,
      "sh",
      bed.daemon.socket,
    ]);
    assert.equal(`sha256:${stdout.split(" ")[0]}`, digest);
    assert.deepEqual(await ids("content", "ls", "-q", `digest==${digest}`), [digest]);
    const refused = await tryCtr("-n", "elsewhere", "content", "get", digest);
    assert.match(refused.stderr, /not found/);
  });

  const runs: { name: string; args: string[]; command: string[]; code: number; stdout: RegExp }[] =
    [
      { name: "attached", args: [], command: ["echo", "hi"], code: 0, stdout: /^hi\n$/ },
      {
        name: "attached, its exit status passed on",
        args: [],
        command: ["sh", "-c", "echo out; exit 42"],
        code: 42,
        stdout: /^out\n$/,
      },
      {
        name: "on native snapshots",
        args: ["--snapshotter", "native"],
        command: ["sh", "-c", "ls -d /etc; exit 3"],
        code: 3,
        stdout: /^\/etc\n$/,
      },
      {
        name: "without output",
        args: ["--null-io"],
        command: ["echo", "hi"],
        code: 0,
        stdout: /^$/,
      },
    ];
  for (const { name: how, args, command, code, stdout } of runs) {
    test(`run --rm ${how}`, async () => {
      const result = await tryCtr("run", "--rm", ...args, image, name("short"), ...command);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stdout, stdout);
      assert.deepEqual(await ids("containers", "ls", "-q"), []);
    });
  }

  test("run reads stdin to its end", async () => {
    const reading = attached("run", "--rm", image, name("reader"), "cat");
    await inState(name("reader"), "RUNNING");
    reading.stdin.end("piped in\n");
    assert.deepEqual(await reading.ended, { code: 0, output: "piped in\n" });
  });

  test("run with a tty passes on output and exit status", async () => {
    const command = `ctr -a '${bed.daemon.socket}' run --rm -t ${image} ${name("term")} sh -c 'tty; exit 4'`;
    const { code, stdout } = await run("script", ["-qec", command, "/dev/null"]);
    assert.equal(code, 4);
    assert.match(stdout, /\/dev\/pts\/\d+/);
  });

  test("run detached, then exec, pause, resume, kill, delete, and snapshots meanwhile", async () => {
    const pidFile = path.join(bed.folder, "one.pid");
    const script =
      "trap 'exit 6' TERM; echo new > /made; rm /etc/group; while :; do sleep 0.1; done";
    await ctr("run", "-d", "--pid-file", pidFile, image, name("one"), "sh", "-c", script);
    const pid = (await readFile(pidFile, "utf8")).trim();
    assert.ok((await ids("tasks", "ls")).some((line) => line.split(/\s+/)[1] === pid));
    const exec = await tryCtr("tasks", "exec", "--exec-id", "e", name("one"), "sh", "-c", "exit 5");
    assert.equal(exec.code, 5);
    await ctr("tasks", "pause", name("one"));
    assert.equal(await stateOf(name("one")), "PAUSED");
    await ctr("tasks", "resume", name("one"));

    const snapshots = await column("snapshots", "ls");
    assert.equal(snapshots.length, 2);
    assert.match(
      await ctr("snapshots", "mounts", "/target", name("one")),
      /mount -t overlay overlay \/target/,
    );
    assert.match(await ctr("snapshots", "usage", name("one")), /one-\w+\s+\d+(\.\d+)? KiB\s+\d+/);
    const diff = await must("sh", [
      "-c",
      'ctr -a "$1" snapshots diff "$2" | tar tz',
      "sh",
      bed.daemon.socket,
      name("one"),
    ]);
    const changed = diff.split("\n");
    for (const file of ["made", "etc/", "etc/.wh.group"]) assert.ok(changed.includes(file), diff);

    await ctr("tasks", "kill", name("one"));
    await inState(name("one"), "STOPPED");
    assert.match((await tryCtr("tasks", "rm", name("one"))).stderr, /exit code 6/);
    await ctr("containers", "rm", name("one"));
    assert.equal((await column("snapshots", "ls")).length, 1);
  });

  test("container create, then start detached without io, attach, and the exit comes through", async () => {
    const pidFile = path.join(bed.folder, "two.pid");
    await ctr("containers", "create", image, name("two"), "sleep", "1000");
    await ctr("tasks", "start", "--detach", "--null-io", "--pid-file", pidFile, name("two"));
    assert.match(await readFile(pidFile, "utf8"), /^\d+$/);
    const { ended } = attached("tasks", "attach", name("two"));
    await ctr("tasks", "kill", "-s", "SIGKILL", name("two"));
    assert.equal((await ended).code, 137);
    await inState(name("two"), undefined);
    await ctr("containers", "rm", name("two"));
  });

  test("task start keeps its FIFOs where it is told", async () => {
    const fifos = path.join(bed.folder, "fifos");
    await mkdir(fifos);
    await ctr("containers", "create", image, name("three"), "awk", '{ print "got " $1; exit 9 }');
    const reading = attached("tasks", "start", "--fifo-dir", fifos, name("three"));
    await inState(name("three"), "RUNNING");
    const names = readdirSync(fifos, { recursive: true, encoding: "utf8" });
    assert.ok(names.some((file) => file.endsWith("-stdout")));
    reading.stdin.end("words\n");
    assert.deepEqual(await reading.ended, { code: 9, output: "got words\n" });
    await ctr("containers", "rm", name("three"));
  });

  test("a checkpoint without a task holds the writable layer and the image", async () => {
    await ctr("run", "-d", image, name("four"), "sh", "-c", "echo x > /made; sleep 1000");
    await ctr(
      "containers",
      "checkpoint",
      "--rw",
      "--image",
      name("four"),
      "example.com/checkpoint:1",
    );
    assert.ok((await ids("images", "ls", "-q")).includes("example.com/checkpoint:1"));
    const held = await counts();
    await ctr("images", "rm", "--sync", "example.com/checkpoint:1");
    assert.ok((await counts())[0] < held[0]);
    await ctr("tasks", "kill", "-s", "SIGKILL", name("four"));
    await inState(name("four"), "STOPPED");
    await tryCtr("tasks", "rm", name("four"));
    await ctr("containers", "rm", name("four"));
  });

  test("task checkpoint works, or says in CRIU's words why it cannot", async () => {
    await ctr("run", "-d", image, name("five"), "sh", "-c", "while :; do sleep 0.1; done");
    const { code, stderr } = await tryCtr("tasks", "checkpoint", name("five"));
    if (code !== 0) assert.match(stderr, /criu.*failed precondition/i);
    const state = await stateOf(name("five"));
    assert.ok(state === "RUNNING" || code === 0, `still there after a refusal, not ${state}`);
    await tryCtr("tasks", "kill", "-s", "SIGKILL", name("five"));
    await inState(name("five"), "STOPPED");
    await tryCtr("tasks", "rm", name("five"));
    await ctr("containers", "rm", name("five"));
    await tryCtr("images", "rm", ...(await ids("images", "ls", "-q", "name~=checkpoint")));
  });

  test("a runtime that is not there is told by the program it would be, and nothing is left", async () => {
    for (const [runtime, program] of [
      ["io.containerd.runtime.v1.linux", "containerd-shim-v1-linux"],
      ["io.containerd.nosuch.v2", "containerd-shim-nosuch-v2"],
    ] as const) {
      const { code, stderr } = await tryCtr(
        "run",
        "--runtime",
        runtime,
        image,
        name("gone"),
        "true",
      );
      assert.notEqual(code, 0);
      assert.ok(stderr.includes(program), stderr);
      await tryCtr("containers", "rm", name("gone"));
    }
    const client = bed.daemon.client("containerd.services.introspection.v1.Introspection");
    const { deprecations } = await client.Server({});
    assert.deepEqual(
      deprecations.map(({ id }) => id),
      ["io.containerd.deprecation/runtime-v1"],
    );
    assert.deepEqual(await ids("containers", "ls", "-q"), []);
    assert.equal((await column("snapshots", "ls")).length, 1);
  });

  test("an import of an archive that is cut off leaves nothing unfinished, once ctr has gone", async () => {
    const cut = path.join(bed.folder, "cut.tar");
    const bytes = await readFile(archive);
    await writeFile(cut, bytes.subarray(0, Math.floor(bytes.length / 2)));
    const { code, stderr } = await tryCtr("images", "import", cut);
    assert.equal(code, 1);
    assert.match(stderr, /unexpected EOF/);
    await until("it is collected", async () => (await column("content", "active")).length === 0);
  });

  test("images are listed by name", async () => {
    for (const tag of ["example.com/z:1", "example.com/a:1"])
      await ctr("images", "tag", image, tag);
    const names = await ids("images", "ls", "-q");
    assert.deepEqual(names, names.toSorted());
    await ctr("images", "rm", "example.com/z:1", "example.com/a:1");
  });

  test("a lease holds content whose image is gone, until it is deleted", async () => {
    const ns = ["--namespace", "leasing"];
    await ctr(...ns, "images", "import", archive);
    // What only the import needed goes first: it is not an image's, and would go under our eyes.
    await collected(...ns);
    const digests = await ids(...ns, "content", "ls", "-q");
    await ctr(...ns, "leases", "create", "--id", "keep", "--expires", "1h");
    const leases = bed.daemon.client("containerd.services.leases.v1.Leases");
    for (const id of digests) {
      await leases.AddResource(
        { id: "keep", resource: { type: "content", id } },
        { namespace: "leasing" },
      );
    }
    await ctr(...ns, "images", "rm", "--sync", image);
    assert.equal((await counts(...ns))[0], digests.length);
    assert.deepEqual(await ids(...ns, "leases", "ls", "-q"), ["keep"]);
    await ctr(...ns, "leases", "rm", "--sync", "keep");
    assert.deepEqual(await counts(...ns), [0, 0]);
  });

  test("what ctr imports into k8s.io is CRI's too, and goes there with the last of its names", async () => {
    const ns = ["--namespace", "k8s.io"];
    const cri = bed.daemon.cri.images;
    const { id } = bed.images.shell;
    await cri.RemoveImage({ image: { image: id } });
    const managed = 'labels."io.cri-containerd.image"==managed';
    const names = async (): Promise<string[]> =>
      (await ids(...ns, "images", "ls", "-q", managed)).filter((it) => it === id || it === image);
    const tags = async (): Promise<readonly string[] | undefined> =>
      (await cri.ImageStatus({ image: { image: id } })).image?.repoTags;
    await collected(...ns);
    const before = await counts(...ns);
    await ctr(...ns, "images", "import", archive);
    assert.deepEqual([await tags(), (await names()).toSorted()], [[image], [image, id]]);
    await ctr(...ns, "images", "rm", "--sync", image);
    assert.deepEqual([await tags(), await names()], [[], [id]]);
    await ctr(...ns, "images", "rm", "--sync", id);
    assert.deepEqual([await tags(), await names()], [undefined, []]);
    assert.deepEqual(await counts(...ns), before, "CRI's own images stay whole");
    await cri.PullImage({ image: { image: bed.images.shell.reference } });
  });

  test("pulls, runs and removals side by side, of images that share a layer, leave one another alone", async () => {
    const ns = ["--namespace", "crowd"];
    const cycle = async (which: "shell" | "worker" | "failing"): Promise<void> => {
      const { reference } = bed.images[which];
      for (let round = 0; round < 4; round += 1) {
        await ctr(...ns, "images", "pull", "--plain-http", reference);
        await ctr(...ns, "run", "--rm", reference, name(`${which}${round}`), "true");
        await ctr(...ns, "images", "rm", ...(round % 2 === 0 ? ["--sync"] : []), reference);
      }
    };
    const pullByCri = async (): Promise<void> => {
      const image = { image: bed.images.idle.reference };
      for (let round = 0; round < 4; round += 1) {
        await bed.daemon.cri.images.PullImage({ image });
        await bed.daemon.cri.images.RemoveImage({ image });
      }
    };
    await Promise.all([cycle("shell"), cycle("worker"), cycle("failing"), pullByCri()]);
    await until("nothing is left", async () => (await counts(...ns)).every((count) => count === 0));
  });

  test("namespaces rm refuses one that is not empty, and says what is in it", async () => {
    const { code, stderr } = await tryCtr("namespaces", "rm", "default");
    assert.notEqual(code, 0);
    assert.match(stderr, /images, blobs, snapshots on overlayfs/);
  });

  test("events tells of images, snapshots and tasks", async () => {
    const child = spawn("ctr", argv(["events"]), { stdio: ["ignore", "pipe", "ignore"] });
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    try {
      await until("all events of a cycle are seen", async () => {
        await ctr("images", "tag", "--force", image, "example.com/told:1");
        await ctr("run", "--rm", image, name("told"), "true");
        await ctr("images", "rm", "example.com/told:1");
        return [
          "/images/create",
          "/snapshot/prepare",
          "/containers/create",
          "/tasks/exit",
          "/snapshot/remove",
          "/images/delete",
        ].every((topic) => seen.includes(topic));
      });
      assert.match(seen, /\/images\/create \{"name":"example\.com\/told:1"/);
    } finally {
      await endChild(child);
    }
  });

  test("after the last image is removed nothing is left on disk", async () => {
    await ctr("images", "rm", "--sync", image);
    assert.deepEqual(await counts(), [0, 0]);
    assert.deepEqual(await column("snapshots", "--snapshotter", "native", "ls"), []);
    assert.deepEqual(await ids("leases", "ls", "-q"), []);
    await ctr("namespaces", "rm", "default");
    const folder = path.join(bed.daemon.folder, "root/snapshots/native/snapshots");
    await until(
      "the removed snapshots' files are gone",
      async () => readdirSync(folder).length === 0,
    );
    assert.deepEqual(readdirSync(path.join(bed.daemon.folder, "root/diff")), []);
  });
});
