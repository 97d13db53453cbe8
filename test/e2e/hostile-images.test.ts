// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../../src/base/errors.ts";
import { makeFifo } from "../../src/base/os/fifo.ts";
import { readXattr } from "../../src/base/os/xattr.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { LayerEntry } from "../support/oci-image.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { type RawMember, tarBytes } from "../support/tar-bytes.ts";
import { pullRecipe, shellLayer } from "../support/test-images.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

const sleeping = ["sleep", "100000"];
/** cap_net_raw, effective. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
const Env = ["PATH=/bin"];

/** What CRI-O, containerd and Podman put into a checkpoint's image. */
const checkpoint: readonly LayerEntry[] = [
  { path: "checkpoint" },
  { path: "checkpoint/inventory.img", content: "img" },
  { path: "config.dump", content: "{" },
  { path: "spec.dump", content: "{}" },
];

const faultOf =
  (code: string, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(isFault(error), String(error));
    assert.deepEqual([error.code, message.test(error.message)], [code, true], error.message);
    return true;
  };

suite("hostile images", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let shell: LayerEntry[];
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    shell = await shellLayer();
    pod = await cri.runPod();
  });
  after(() => bed?.finish());

  test("an image with a checkpoint's files is an image like others", async () => {
    const image = await pullRecipe(bed, "like-checkpoint", {
      config: { Env },
      layers: [[...shell, ...checkpoint, { path: "rootfs-diff.tar", symlink: "/etc/passwd" }]],
    });
    const container = await cri.startContainer(pod, image, sleeping);
    const { stdout } = await cri.exec(container, ["cat", "/config.dump", "/rootfs-diff.tar"]);
    assert.equal(stdout, "{root:x:0:0:root:/root:/bin/sh\n");
  });

  test("a path is no image", async () => {
    await assert.rejects(
      cri.createContainer(pod, "/dev/zero", sleeping),
      faultOf(
        "NOT_FOUND",
        /^image "\/dev\/zero" is not present on this node; .*restore_checkpoints/,
      ),
    );
  });

  test("an image with millions of users and groups: others are served meanwhile", async () => {
    const long = `many:x:10:${"someone,".repeat(2 ** 18)}app\n`;
    const image = await pullRecipe(bed, "many-users", {
      config: { Env, User: "app:team" },
      layers: [
        shell,
        [
          {
            path: "etc/passwd",
            content: `${"u:x:1:1::/:\n".repeat(2 ** 19 + 2 ** 18)}app:x:7:8::/:\n`,
          },
          { path: "etc/group", content: `${long}${"g:x:5:u\n".repeat(2 ** 17)}team:x:9:app\n` },
        ],
      ],
    });
    // Who asks again and again is answered again and again.
    let answered = 0;
    const done = new AbortController();
    const asking = (async () => {
      while (!done.signal.aborted) {
        await cri.runtime.Version({});
        answered += 1;
        await sleep(5);
      }
    })();
    const containers = await Promise.all(
      [1, 2, 3].map(() => cri.createContainer(pod, image, sleeping)),
    ).finally(() => done.abort());
    await asking;
    assert.ok(answered > 10, `Version was answered ${answered} times`);
    const [containerId = ""] = containers;
    await cri.runtime.StartContainer({ containerId });
    const { stdout } = await cri.exec(containerId, ["id"]);
    assert.equal(stdout.trim(), "uid=7(app) gid=9(team) groups=9(team),10(many)");
  });

  test("a volume has what the image has there, whatever it is and is called", async () => {
    const odd = Buffer.from([0x6f, 0xff, 0xfe]).toString("latin1");
    const raw: RawMember[] = [
      { name: "data/", flag: "5", mode: 0o1777 },
      { name: `data/${odd}`, content: "odd" },
      { name: "data/fifo", flag: "6", mode: 0o620 },
      { name: "data/one", content: "shared", mode: 0o4755, uid: 3, gid: 4, mtime: 1_000_000 },
      { name: "data/two", flag: "1", link: "data/one" },
      { name: "data/link", flag: "2", link: "/etc/passwd" },
      { name: "data/null", flag: "3", major: 1, minor: 3 },
      {
        name: "data/ping",
        content: "#!",
        pax: {
          "SCHILY.xattr.security.capability": capability,
        },
      },
      {
        name: "data/sparse",
        content: "x",
        pax: { "GNU.sparse.size": String(2 ** 30), "GNU.sparse.map": `${2 ** 29},1` },
      },
      { name: "to-data", flag: "2", link: "data" },
    ];
    const image = await pullRecipe(bed, "volumes", {
      config: { Env, Volumes: { "/data": {}, "/to-data": {} } },
      layers: [shell, tarBytes(raw)],
    });
    const container = await cri.startContainer(pod, image, sleeping);
    const script = [
      "cd $0 && stat -c '%a %F' . && ls",
      "cat o[!n]*; echo; stat -c '%a %u %g %h %Y' one; test one -ef two && echo linked",
      "test -p fifo && stat -c %a fifo; test -c null && readlink link; cat one; echo",
      "stat -c %s sparse; test $(stat -c %b sparse) -lt 100 && echo holes",
    ].join("; ");
    for (const volume of ["/data", "/to-data"]) {
      const { stdout } = await cri.exec(container, ["sh", "-c", script, volume]);
      assert.deepEqual(stdout.trimEnd().split("\n"), [
        "1777 directory",
        "fifo",
        "link",
        "null",
        "one",
        "o??",
        "ping",
        "sparse",
        "two",
        "odd",
        "4755 3 4 2 1000000",
        "linked",
        "620",
        "/etc/passwd",
        "shared",
        String(2 ** 30),
        "holes",
      ]);
    }
    const { pid } = JSON.parse(
      (await cri.runtime.ContainerStatus({ containerId: container, verbose: true })).info["info"] ??
        "{}",
    ) as { pid: number };
    const file = `/proc/${pid}/root/data/ping`;
    assert.deepEqual(readXattr(file, "security.capability", 64), capability);
  });
});

suite("hostile checkpoints", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  before(async () => {
    bed = await openTestbed({ config: { cri: { restore_checkpoints: true } } });
    ({ cri } = bed);
    pod = await cri.runPod();
  });
  after(() => bed?.finish());

  const images: readonly (readonly [what: string, entries: readonly LayerEntry[], told: RegExp])[] =
    [
      [
        "a link to the host's files",
        [...checkpoint, { path: "rootfs-diff.tar", symlink: "/etc/passwd" }],
        /"rootfs-diff.tar" is neither a file nor a folder/,
      ],
      [
        "a link to a device below",
        [...checkpoint, { path: "checkpoint/pages-1.img", symlink: "/dev/zero" }],
        /"pages-1.img" is neither a file nor a folder/,
      ],
      ["nonsense", checkpoint, /the archive is no checkpoint of a container/],
      [
        "a description of absurd length",
        [
          ...checkpoint.filter((entry) => entry.path !== "config.dump"),
          { path: "config.dump", content: Buffer.alloc(2 ** 20 + 1, "x") },
        ],
        /the archive is no checkpoint of a container/,
      ],
    ];
  for (const [index, [what, entries, told]] of images.entries()) {
    test(`an image of a checkpoint with ${what} is refused`, async () => {
      const recipe = { config: {}, layers: [entries] };
      const image = await pullRecipe(bed, `checkpoint-${index}`, recipe);
      const creating = cri.createContainer(pod, image, sleeping);
      await assert.rejects(creating, faultOf("INVALID_ARGUMENT", told));
    });
  }

  test("an image whose description is a link is an image like others", async () => {
    const entries: LayerEntry[] = [
      { path: "checkpoint" },
      { path: "config.dump", symlink: "/dev/zero" },
    ];
    const image = await pullRecipe(bed, "linked-config", { config: {}, layers: [entries] });
    await cri.createContainer(pod, image, sleeping);
  });

  const archives: readonly (readonly [what: string, make: (file: string) => unknown])[] = [
    ["a device", async () => "/dev/zero"],
    ["a FIFO", async (file) => makeFifo(file, 0o600)],
    ["text", (file) => writeFile(file, "no archive ".repeat(1000))],
    [
      "an archive with a link",
      (file) => writeFile(file, tarBytes([{ name: "config.dump", flag: "2", link: "/dev/zero" }])),
    ],
  ];
  for (const [what, make] of archives) {
    test(`${what} is no checkpoint`, async () => {
      const file = path.join(bed.folder, what.replaceAll(" ", "-"));
      const other = await make(file);
      const archive = typeof other === "string" ? other : file;
      const creating = Promise.all(
        [1, 2, 3, 4, 5].map(() => cri.createContainer(pod, archive, sleeping)),
      );
      await assert.rejects(creating, faultOf("INVALID_ARGUMENT", /./));
    });
  }
});
