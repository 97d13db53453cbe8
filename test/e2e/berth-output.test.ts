// SPDX-License-Identifier: Apache-2.0
// Where what berth prints cannot go: a full disk, and a reader that has had enough.
import assert from "node:assert/strict";
import { mkdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { type RunResult, run } from "../support/run.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

const bin = path.resolve(import.meta.dirname, "../../bin");

suite("output that cannot be written", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let commands: Readonly<Record<string, readonly string[]>>;
  before(async () => {
    bed = await openTestbed();
    const { reference } = bed.images.shell;
    commands = {
      help: ["berth", "--help"],
      status: ["berth", "status"],
      "image ls": ["berth", "image", "ls"],
      "image ls as JSON": ["berth", "image", "ls", "--json"],
      "image inspect": ["berth", "image", "inspect", reference],
      "image history": ["berth", "image", "history", reference],
      "image export": ["berth", "image", "export", reference],
      "image pull": ["berth", "image", "pull", reference],
      completion: ["berth", "completion", "bash"],
      support: ["berth", "support", "-o", "-", "-c", bed.daemon.configFile],
      "berthd config default": ["berthd", "config", "default"],
      "berthd version": ["berthd", "version"],
    };
  });
  after(() => bed?.finish());

  const shell = (script: string, [name = "", ...args]: readonly string[]): Promise<RunResult> =>
    run("bash", ["-c", script, path.join(bin, name), ...args], {
      env: { BERTH_ADDRESS: bed.daemon.socket },
    });

  test("a full device is told, and the command fails", async () => {
    for (const [what, command] of Object.entries(commands)) {
      const { code, stderr } = await shell('"$0" "$@" > /dev/full', command);
      assert.equal(code, 1, what);
      const told = /^berthd?: cannot write standard output: no space left on device$/m;
      assert.match(stderr, told, what);
      assert.doesNotMatch(stderr, /\bat .*:\d+/, what);
    }
  });

  test("a disk with room for a part of it is full, too", async () => {
    const target = path.join(bed.folder, "small");
    await mkdir(target);
    using _disk = mountSmallDisk("tmpfs", target, { bytes: 8192, image: `${target}.image` });
    const file = path.join(target, "out");
    for (const what of ["berthd config default", "image export"]) {
      const { code, stderr } = await shell(`"$0" "$@" > '${file}'`, commands[what]!);
      assert.deepEqual(
        [code, stderr.replace(/^berthd?: /, "")],
        [1, "cannot write standard output: no space left on device\n"],
        what,
      );
      assert.equal((await stat(file)).size, 8192);
    }
    const { code, stderr } = await shell(
      `"$0" "$@" -o '${target}/image'`,
      commands["image export"]!,
    );
    assert.equal(code, 1);
    assert.match(stderr, /^berth: cannot write \S.*\/image: no space left on device\n$/);
  });

  test("a reader that has had enough ends it quietly", async () => {
    const quiet = 'set -o pipefail; { sleep 0.2; "$0" "$@"; } | true';
    for (const what of ["help", "status", "image ls", "image export", "berthd version"]) {
      const { code, stderr } = await shell(quiet, commands[what]!);
      assert.deepEqual([code, stderr], [141, ""], what);
    }
  });

  test("a stream of events ends with its reader", async () => {
    const errors = path.join(bed.folder, "errors");
    const pod = bed.cri.runPod(); // makes some
    const script = `set -o pipefail; "$0" "$@" 2> '${errors}' | head -n 1 > /dev/null`;
    const events = shell(script, ["berth", "events"]);
    const made = await pod;
    const another = await bed.cri.runPod();
    for (const { id } of [made, another]) await bed.cri.removePod(id);
    assert.equal((await events).code, 141);
    assert.equal(await readFile(errors, "utf8"), "");
  });
});
