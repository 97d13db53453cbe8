// SPDX-License-Identifier: Apache-2.0
// `berth image copy`: what a containerd has is taken over without a registry.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type Containerd, startContainerd } from "../support/containerd.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { disposeOnSignal } from "../support/last-resort.ts";
import { startRegistry } from "../support/registry.ts";
import { must, type RunResult, run } from "../support/run.ts";
import { scratch } from "../support/scratch.ts";
import { pushTestImages, type TestImages } from "../support/test-images.ts";
import { until } from "../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../bin/berth");

suite("berth image copy", { skip: lacking(...podPrograms, "containerd", "ctr") }, () => {
  const owned = new AsyncDisposableStack();
  let images: TestImages;
  let containerd: Containerd;
  let daemon: Daemon;
  before(async () => {
    owned.use(disposeOnSignal(owned));
    const home = owned.use(await scratch({ prefix: "copy" }));
    // It is gone before anything is copied.
    await using registry = await startRegistry(await home.folder("registry"));
    images = await pushTestImages(registry, await home.folder("images"));
    containerd = owned.use(await startContainerd(images.idle.reference));
    for (const { reference } of Object.values(images)) {
      await containerd.cri.images.PullImage({ image: { image: reference } });
    }
    daemon = owned.use(await startDaemon());
  });
  after(() => owned.disposeAsync());

  const berth = (...args: readonly string[]): Promise<RunResult> =>
    run(program, ["image", ...args], { env: { BERTH_ADDRESS: daemon.socket } });
  const copy = (...args: readonly string[]): Promise<RunResult> =>
    berth("copy", "--from", containerd.socket, "--progress", "none", ...args);
  const ctr = (...args: readonly string[]): Promise<string> =>
    must("ctr", ["--address", containerd.socket, "--namespace", "k8s.io", ...args]);

  test("an image that is named comes with that name, and is there for pods", async () => {
    const { reference, id } = images.shell;
    const { code, stdout, stderr } = await copy(reference);
    assert.deepEqual([code, stdout, stderr], [0, `copied ${reference}\n`, ""]);
    const { image } = await daemon.cri.images.ImageStatus({ image: { image: reference } });
    assert.deepEqual([image?.id, image?.repoTags], [id, [reference]]);
    const pod = await daemon.cri.runPod();
    const container = await daemon.cri.startContainer(pod, reference, ["sh", "-c", "exit 3"]);
    assert.equal((await daemon.cri.reaches(container, "CONTAINER_EXITED")).exitCode, 3);
    await daemon.cri.removeAllPods();
  });

  test("by its id it comes with all its names, and a second time nothing is moved", async () => {
    const { reference, id } = images.worker;
    const other = reference.replace(/:1$/, ":other");
    await ctr("images", "tag", reference, other);
    const { stdout } = await copy(id.slice("sha256:".length, 20), "--json");
    const { images: told } = JSON.parse(stdout) as { images: { name: string; outcome: string }[] };
    const outcomes = new Map(told.map(({ name, outcome }) => [name, outcome]));
    assert.ok(outcomes.has(reference) && outcomes.has(other), stdout);
    const { image } = await daemon.cri.images.ImageStatus({ image: { image: id } });
    assert.deepEqual([...(image?.repoTags ?? [])].sort(), [reference, other].sort());
    assert.match((await copy(other)).stdout, /^exists /);
  });

  test("all of them come, and one that lacks a layer there keeps no other", async () => {
    const { reference } = images.worker;
    const [, row = ""] = (await ctr("images", "ls", `name==${reference}`)).split("\n");
    const [manifest = ""] = /sha256:[0-9a-f]{64}/.exec(row) ?? [];
    const { layers } = JSON.parse(await ctr("content", "get", manifest)) as {
      layers: { digest: string }[];
    };
    const lost = layers[1]?.digest ?? "";
    await ctr("content", "rm", lost);
    const { code, stdout, stderr } = await copy();
    assert.equal(code, 1);
    assert.ok(
      stderr.includes(
        `berth: ${reference}: blob ${lost} of image "${reference}" is not in the store`,
      ),
      stderr,
    );
    assert.match(stderr, /of \d+ names were not copied\n$/);
    assert.ok(stdout.includes(`copied ${images.failing.reference}\n`), stdout);
    const { images: all } = await daemon.cri.images.ListImages({});
    const ids = all.map(({ id }) => id);
    for (const [name, { id }] of Object.entries(images)) assert.ok(ids.includes(id), name);
  });

  test("a name that is another image's here is taken by force alone", async () => {
    const name = "example.com/mine:1";
    await ctr("images", "tag", images.shell.reference, name);
    await berth("tag", images.failing.reference, name);
    const { code, stderr } = await copy(name);
    assert.equal(code, 1);
    assert.match(stderr, /mine:1: the name is another image's here \(sha256:.*--force takes it/);
    assert.equal((await copy("--force", name)).stdout, `tagged ${name}\n`);
    const { image } = await daemon.cri.images.ImageStatus({ image: { image: name } });
    assert.equal(image?.id, images.shell.id);
  });

  test("another namespace gets an image under its own name, and pods do not see it", async () => {
    await ctr("images", "tag", images.shell.reference, "plain");
    const { code, stdout, stderr } = await copy(
      "--namespace",
      "other",
      "--from-namespace",
      "k8s.io",
      "plain",
    );
    assert.deepEqual([code, stdout, stderr], [0, "copied plain\n", ""]);
    const names = daemon.client("containerd.services.images.v1.Images");
    await names.Get({ name: "plain" }, { namespace: "other" });
    const { image } = await daemon.cri.images.ImageStatus({ image: { image: "plain" } });
    assert.equal(image, null);
    await names.Delete({ name: "plain", sync: true }, { namespace: "other" });
    // A name as a client may give it, which CRI does not ask for.
    assert.equal((await copy("plain")).stdout, "tagged plain\n");
    await names.Delete({ name: "plain" }, { namespace: "k8s.io" });
  });

  test("what has been copied can be removed, and leaves nothing", async () => {
    const { images: all } = await daemon.cri.images.ListImages({});
    for (const { id, pinned } of all) {
      if (!pinned) await daemon.cri.images.RemoveImage({ image: { image: id } });
    }
    await until("the layers are gone", async () => {
      const content = daemon.client("containerd.services.content.v1.Content");
      for await (const { info } of content.List({ filters: [] }, { namespace: "k8s.io" })) {
        if (info.length > 0) return false;
      }
      return true;
    });
  });

  test("wrong input is told in words", async () => {
    const none = path.join(daemon.folder, "none.sock");
    const cases: [args: string[], expected: RegExp][] = [
      [
        ["no/such:1"],
        /^berth: image "no\/such:1" is not in namespace "k8s.io" of the containerd on /,
      ],
      [
        ["--from", none],
        /^berth: cannot reach a containerd on \S.*none\.sock: is it running there\?/,
      ],
      [["--from-namespace", "a b"], /namespace/],
      [
        ["--from-namespace", "empty"],
        /^berth: no image has a name in namespace "empty" of the containerd on /,
      ],
    ];
    for (const [args, expected] of cases) {
      const { code, stderr } = await copy(...args);
      assert.equal(code, 1, args.join(" "));
      assert.match(stderr, expected);
    }
  });
});
