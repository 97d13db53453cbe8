// SPDX-License-Identifier: Apache-2.0
// A disk that is full at some byte of what brings images in from outside: `berth image copy`, and containerd's own client. The
// error names what and where, nothing half stays, and with space again the same command brings the image.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type SweptRoom, sweptImage, sweptRoom } from "../../integration/images/disk-sweep.ts";
import { type Daemon, startDaemon } from "../../support/daemon.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { disposeOnSignal } from "../../support/last-resort.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { must, type RunResult, run } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../../bin/berth");
const k8s = { namespace: "k8s.io" };
const kib = 1024;
const rooms = [{ bytes: 0 }, { bytes: 600 * kib }, { inodes: 4 }];
const words = /cannot [a-z ]+.* at ".*": no space left on device \(ENOSPC\)/;

suite("images that are brought to a full disk", { skip: lacking(...podPrograms, "ctr") }, () => {
  const owned = new AsyncDisposableStack();
  let home: Scratch;
  let room: SweptRoom;
  let daemon: Daemon;
  let other: Daemon;
  let registry: Registry;
  let archive: string;
  let name: string;
  before(async () => {
    owned.use(disposeOnSignal(owned));
    home = owned.use(await scratch({ prefix: "full-copy" }));
    const layout = await home.folder("layout");
    await sweptImage(layout, "brought");
    archive = path.join(home.path, "image.tar");
    await must("tar", ["-C", layout, "-cf", archive, "."]);
    registry = owned.use(await startRegistry(await home.folder("registry")));
    name = `${registry.host}/brought:1`;
    other = owned.use(await startDaemon());
    await must(program, ["image", "load", layout, "--name", name], at(other));
    await must(program, ["image", "push", name], at(other));
    room = owned.use(await sweptRoom());
    daemon = owned.use(await startDaemon({ config: { root: path.join(room.root, "root") } }));
  });
  after(() => owned.disposeAsync());

  const at = ({ socket }: Daemon) => ({ env: { BERTH_ADDRESS: socket } });
  const berth = (...args: readonly string[]) => run(program, ["image", ...args], at(daemon));
  const ctr = (...args: readonly string[]) =>
    run("ctr", ["--address", daemon.socket, "--namespace", "k8s.io", ...args]);
  const leases = () => daemon.client("containerd.services.leases.v1.Leases");
  const content = () => daemon.client("containerd.services.content.v1.Content");
  const left = async () => {
    const below = (...names: string[]) => readdir(path.join(room.root, "root", ...names));
    return {
      leases: (await leases().List({ filters: [] }, k8s)).leases.length,
      ingests: (await content().ListStatuses({ filters: [] }, k8s)).statuses.length,
      ingestFolders: await below("content/ingest"),
      blobs: await below("content/blobs/sha256"),
      layers: await below("snapshots/overlayfs/snapshots"),
    };
  };
  const none = { leases: 0, ingests: 0, ingestFolders: [], blobs: [], layers: [] };
  const nothingStays = (): Promise<unknown> =>
    until("nothing of it is left", async () => {
      assert.deepEqual(await left(), none);
      return true;
    });

  /** Whether the client names an image before it unpacks it, and leaves it so when that fails: containerd's does. */
  const ways: readonly {
    readonly what: string;
    readonly keepsImage: boolean;
    readonly bring: () => Promise<RunResult>;
  }[] = [
    {
      what: "berth image copy",
      keepsImage: false,
      bring: () => berth("copy", "--from", other.socket, "--progress", "none", name),
    },
    {
      what: "ctr images import",
      keepsImage: true,
      bring: () => ctr("images", "import", "--base-name", `${registry.host}/brought`, archive),
    },
    {
      what: "ctr images pull",
      keepsImage: true,
      bring: () => ctr("images", "pull", "--plain-http", name),
    },
  ];
  for (const { what, keepsImage, bring } of ways) {
    test(what, async () => {
      let failed = 0;
      for (const space of rooms) {
        room.leave(space);
        const first = await bring();
        if (first.code !== 0) {
          failed += 1;
          assert.match(first.stderr, words, JSON.stringify(space));
          if (!keepsImage) await nothingStays();
        }
        room.enlarge();
        const again = await bring();
        assert.equal(again.code, 0, again.stderr);
        const verified = await berth("verify");
        assert.equal(verified.code, 0, verified.stdout);
        const { images } = await daemon
          .client("containerd.services.images.v1.Images")
          .List({ filters: [] }, k8s);
        const tagged = images.find(({ name: each }) => each.includes(":") && each.includes("/"));
        await must(program, ["image", "rm", tagged?.name ?? ""], at(daemon));
        await nothingStays();
      }
      assert.ok(failed >= 2, `${failed} failed`);
    });
  }

  test("a copy that takes a name, and fails as it is unpacked, leaves the image of before whole", async () => {
    const mine = `${registry.host}/mine:1`;
    const layout = await home.folder("before");
    const { id } = await sweptImage(layout, "before");
    await must(program, ["image", "load", layout, "--name", mine], at(daemon));
    await must(program, ["image", "tag", name, mine], at(other));
    await must(program, ["image", "copy", "--no-unpack", "--from", other.socket, name], at(daemon));
    // By its name alone it is kept.
    const names = daemon.client("containerd.services.images.v1.Images");
    await names.Delete({ name: id, sync: true }, k8s);
    room.leave({ bytes: 200 * kib });
    const done = new AbortController();
    const copying = berth("copy", "--force", "--from", other.socket, mine).finally(() =>
      done.abort(),
    );
    // What nothing leads to is collected at once, however soon the unpacking fails.
    while (!done.signal.aborted) {
      await daemon.cri.images.RemoveImage({ image: { image: "nobody:1" } });
    }
    const failed = await copying;
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, words);
    room.enlarge();
    const verified = await berth("verify");
    assert.equal(verified.code, 0, verified.stdout);
    const { image } = await daemon.cri.images.ImageStatus({ image: { image: mine } });
    assert.equal(image?.id, id);
    for (const each of [mine, name]) await must(program, ["image", "rm", each], at(daemon));
    await nothingStays();
  });

  test("a push needs no space of the node", async () => {
    await must(program, ["image", "copy", "--from", other.socket, name], at(daemon));
    room.leave({ bytes: 0 });
    const mine = `${registry.host}/from-full:1`;
    const pushed = await berth("push", name, mine);
    assert.equal(pushed.code, 0, pushed.stderr);
    const byCtr = await ctr("images", "push", "--plain-http", `${registry.host}/by-ctr:1`, name);
    assert.equal(byCtr.code, 0, byCtr.stderr);
    room.enlarge();
  });
});
