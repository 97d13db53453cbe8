// SPDX-License-Identifier: Apache-2.0
// `berth image` against a real daemon.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { digestOf } from "../../src/content/digest.ts";
import { hostPlatform } from "../../src/images/manifest/platform.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { writeOciLayout } from "../support/oci-image.ts";
import { must, type RunResult, run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

const program = path.resolve(import.meta.dirname, "../../bin/berth");

interface Listed {
  readonly id: string;
  readonly repoTags: readonly string[];
}

async function rottenLayout({ folder }: Testbed): Promise<string> {
  const layout = path.join(folder, "rotten");
  await writeOciLayout(layout, "1", { config: {}, layers: [[{ path: "rotten", content: "r" }]] });
  return layout;
}

suite("berth image", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let shell: string;
  let id: string;
  before(async () => {
    bed = await openTestbed();
    ({ reference: shell, id } = bed.images.shell);
  });
  after(() => bed?.finish());

  const image = (...args: readonly string[]): Promise<RunResult> =>
    run(program, ["image", ...args], { env: { BERTH_ADDRESS: bed.daemon.socket } });
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await image(...args);
    assert.equal(code, 0, `berth image ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const refused = async (args: readonly string[], expected: RegExp, status = 1): Promise<void> => {
    const { code, stderr } = await image(...args);
    assert.equal(code, status, args.join(" "));
    assert.match(stderr, expected, args.join(" "));
  };
  const listed = async (): Promise<Listed[]> => JSON.parse(await ok("ls", "--json")) as Listed[];
  const tagsOf = async (wanted: string): Promise<readonly string[]> =>
    (await listed()).find((one) => one.id === wanted)?.repoTags ?? [];

  test("inspect prints status and document of a name, an id and the beginning of one", async () => {
    for (const name of [shell, id, id.slice(7), id.slice(7, 20)]) {
      const { status, info } = JSON.parse(await ok("inspect", name)) as {
        status: Listed;
        info: { imageSpec: { config: { Cmd: string[] } } };
      };
      assert.deepEqual([status.id, info.imageSpec.config.Cmd], [id, ["sh"]], name);
    }
    await refused(["inspect", "no/such:image"], /^berth: image "no\/such:image" not found/);
  });

  test("another namespace is refused where only pods' images are meant, and nothing is done", async () => {
    for (const [command, ...rest] of [
      ["rm", shell],
      ["prune", "--dry-run"],
      ["ls"],
      ["pull", shell],
    ]) {
      const args = ["-n", "dev", "image", command ?? "", ...rest];
      const { code, stderr } = await run(program, args, {
        env: { BERTH_ADDRESS: bed.daemon.socket },
      });
      assert.equal(code, 2, args.join(" "));
      assert.equal(
        stderr,
        `berth: "berth image ${command}" works in namespace "k8s.io" alone, and --namespace names "dev"\n`,
      );
    }
    const env = { BERTH_ADDRESS: bed.daemon.socket, BERTH_NAMESPACE: "dev" };
    const { stderr } = await run(program, ["image", "rm", shell], { env });
    assert.match(stderr, /alone, and BERTH_NAMESPACE names "dev"/);
    assert.ok((await tagsOf(id)).includes(shell));
  });

  test("tag gives one more name, and takes one only by force", async () => {
    assert.equal(await ok("tag", shell, "example.com/mine"), "example.com/mine:latest\n");
    assert.ok((await tagsOf(id)).includes("example.com/mine:latest"));
    assert.equal(await ok("tag", shell, "example.com/mine"), "example.com/mine:latest\n");
    const { id: other } = bed.images.worker;
    await refused(
      ["tag", other, "example.com/mine"],
      /"example\.com\/mine:latest" is an image already: --force takes its name/,
    );
    await ok("tag", "--force", other.slice(7, 20), "example.com/mine");
    assert.ok((await tagsOf(other)).includes("example.com/mine:latest"));
    assert.ok(!(await tagsOf(id)).includes("example.com/mine:latest"));
    await refused(["tag", shell, `example.com/mine@${id}`], /a digest is what an image has/, 2);
    await refused(["tag", shell, "Example.com/Mine"], /invalid image reference/);
    await refused(["tag", "no/such", "example.com/x"], /image "no\/such" not found in namespace/);
    const names = bed.daemon.client("containerd.services.images.v1.Images");
    await names.Delete({ name: "example.com/mine:latest" }, { namespace: "k8s.io" });
  });

  test("the built-in image is told by every command that cannot have it", async () => {
    const builtIn = "localhost/berth/pause:0.1";
    await ok("inspect", builtIn);
    for (const args of [
      ["tag", builtIn, "example.com/pause:1"],
      ["untag", builtIn],
      ["export", "-o", path.join(bed.folder, "pause.tar"), builtIn],
      ["history", builtIn],
      ["verify", builtIn],
      ["push", builtIn],
      ["rm", builtIn],
    ])
      await refused(args, /^berth: .*image "[^"]+"(?: is|: it is) built in/);
  });

  test("what is to be taken away, and is not there, is just that", async () => {
    for (const command of ["rm", "untag"])
      await refused(
        [command, "nosuch"],
        /^berth: image "nosuch" not found in namespace "k8s.io"\n$/,
      );
  });

  test("untag takes names, but not the last, and no image", async () => {
    await ok("tag", shell, "example.com/one");
    await ok("tag", shell, "example.com/two");
    const { code, stdout, stderr } = await image(
      "untag",
      "example.com/one",
      "no/such",
      "example.com/two",
    );
    assert.equal(stdout, "untagged example.com/one:latest\nuntagged example.com/two:latest\n");
    assert.match(stderr, /^berth: image "no\/such" not found in namespace/);
    assert.equal(code, 1);
    assert.deepEqual(
      (await tagsOf(id)).filter((tag) => tag.startsWith("example.com/")),
      [shell].filter((tag) => tag.startsWith("example.com/")),
    );
    await refused(["untag", id], /is an image's id, not a name of it/);
    const layout = path.join(bed.folder, "only");
    const layers = [[{ path: "only", content: "o" }]];
    await writeOciLayout(layout, "1", { config: {}, layers });
    await ok("load", "--name", "example.com/only:1", layout);
    await refused(["untag", "example.com/only:1"], /is the only name of its image/);
    assert.match(await ok("rm", "example.com/only:1"), /^removed example\.com\/only:1 /);
  });

  test("verify tells what the disk has lost, and drops it", async () => {
    assert.match(await ok("verify", shell), /^looked at 1 image: 3 blobs, 1 layer\n$/);
    await ok("load", "--name", "example.com/rotten:1", await rottenLayout(bed));
    const [rotten] = await listed().then((all) =>
      all.filter(({ repoTags }) => repoTags.includes("example.com/rotten:1")),
    );
    const blob = path.join(bed.daemon.folder, "root/content/blobs/sha256", rotten!.id.slice(7));
    await writeFile(blob, "{}");
    const { code, stdout, stderr } = await image("verify");
    assert.equal(code, 1);
    assert.match(stdout, /^example\.com\/rotten:1: content sha256:\S+: its bytes have the digest/m);
    assert.match(stdout, /dropped, the next pull or use brings it again$/m);
    assert.match(stdout, /^looked at \d+ images: \d+ blobs, \d+ layers$/m);
    assert.match(stderr, /^berth: what the disk has is damaged in 1 place$/m);
    await refused(["verify", "no/such"], /image "no\/such" not found/);
    await ok("load", "--name", "example.com/rotten:1", path.join(bed.folder, "rotten"));
    const { damages } = JSON.parse(await ok("verify", "--json", "example.com/rotten:1")) as {
      damages: unknown[];
    };
    assert.deepEqual(damages, []);
    await ok("rm", "example.com/rotten:1");
  });

  test("history lists the steps, the last first, with the sizes of the layers", async () => {
    const layout = path.join(bed.folder, "steps");
    await writeOciLayout(layout, "1", {
      config: {},
      layers: [[{ path: "big", content: "x".repeat(200_000) }], [{ path: "small", content: "y" }]],
    });
    await tellSteps(layout, [
      { created: "2020-01-01T00:00:00Z", created_by: "ADD big /" },
      { created_by: "ENV a=b\u001b[2J", empty_layer: true, comment: "none" },
      { created_by: `RUN ${"long ".repeat(40)}` },
      { created: "0001-01-01T00:00:00Z", created_by: "ENV go", empty_layer: true },
      { created: "1970-01-01T00:00:00Z", Created_By: "ENV first", empty_layer: true },
    ]);
    await ok("load", "--name", "example.com/steps:1", layout);
    const [, first, go, run_, env, add, ...rest] = (
      await ok("history", "example.com/steps:1")
    ).split("\n");
    assert.deepEqual(rest, [""]);
    assert.match(first!, /^- {3,}ENV first {3,}0B$/);
    assert.match(go!, /^- {3,}ENV go {3,}0B$/);
    assert.match(run_!, /^- {3,}RUN (long )+.{0,4}… {3}\d/);
    assert.match(env!, /^- {3,}ENV a=b\\u001b\[2J {3,}0B {3,}none$/);
    assert.match(add!, /^\d+d\d+h ago {3}ADD big \/ {3,}\d{3}(\.\d)?KiB$/);
    assert.match(await ok("history", "--no-trunc", "example.com/steps:1"), /RUN (long ){40}/);
    const steps = JSON.parse(await ok("history", "--json", "example.com/steps:1")) as object[];
    assert.equal(steps.length, 5);
    await ok("rm", "example.com/steps:1");
  });

  test("export writes what load, tar and skopeo take, the same each time", async () => {
    const [first, second] = ["one.tar", "two.tar"].map((name) => path.join(bed.folder, name));
    await ok("export", "--output", first!, shell, bed.images.worker.reference);
    await must(
      "sh",
      [
        "-c",
        `"$0" image export "$1" "$2" > "$3"`,
        program,
        shell,
        bed.images.worker.reference,
        second!,
      ],
      {
        env: { BERTH_ADDRESS: bed.daemon.socket },
      },
    );
    assert.ok((await readFile(first!)).equals(await readFile(second!)));
    const names = (await must("tar", ["-tf", first!])).trim().split("\n");
    assert.deepEqual(
      names.filter((name) => !name.startsWith("blobs/sha256/")),
      ["blobs/", "index.json", "manifest.json", "oci-layout"],
    );
    // Two images share a layer, which is there once.
    assert.equal(new Set(names).size, names.length);
    const single = path.join(bed.folder, "single.tar");
    await ok("export", "-o", single, shell);
    for (const kind of ["oci-archive", "docker-archive"]) {
      const told = await must("skopeo", ["inspect", "--config", `${kind}:${single}`]);
      assert.deepEqual((JSON.parse(told) as { config: { Cmd: string[] } }).config.Cmd, ["sh"]);
    }
    const both = /images "no\/such", "nor\/this" not found in namespace "k8s\.io"\n/;
    await refused(["rm", "no/such", shell, id, "nor/this"], both);
    await ok("rm", bed.images.worker.id);
    assert.equal((await listed()).filter((one) => one.id === id).length, 0);
    assert.match(await ok("import", first!), new RegExp(`loaded ${shell}\n`));
    assert.ok((await tagsOf(id)).includes(shell));
    assert.ok((await tagsOf(bed.images.worker.id)).includes(bed.images.worker.reference));
  });

  test("run unpacks what a client brought without doing so, once", async (t) => {
    // The shim's OCI runtime makes one for each namespace, and none goes.
    t.after(() => rmdir("/run/containerd/runc/brought").catch(() => {}));
    const archive = path.join(bed.folder, "unpacked.tar");
    await ok("export", "-o", archive, shell);
    const { socket } = bed.daemon;
    const ctr = (...args: readonly string[]): Promise<string> =>
      must("ctr", ["-a", socket, "-n", "brought", ...args]);
    await ctr("images", "import", "--no-unpack", archive);
    assert.equal((await ctr("snapshots", "ls")).trim().split("\n").length, 1);
    const env = { BERTH_ADDRESS: socket, BERTH_NAMESPACE: "brought" };
    const args = ["run", "--rm", shell, "unpacked", "echo", "here"];
    for (const _time of [1, 2]) {
      const { code, stdout, stderr } = await run(program, args, { env });
      assert.deepEqual([code, stdout], [0, "here\n"], stderr);
    }
    // What was unpacked stays with the image.
    assert.match(await ctr("snapshots", "ls"), /sha256:\w+ .*Committed/);
    await ctr("images", "rm", "--sync", shell);
    assert.doesNotMatch(await ctr("snapshots", "ls"), /Committed/);
  });

  test("export writes an image once, whatever it is called by", async () => {
    const indexOf = async (...names: string[]): Promise<unknown> => {
      const file = path.join(bed.folder, "once.tar");
      await ok("export", "-o", file, ...names);
      return JSON.parse(await must("tar", ["-xOf", file, "index.json"]));
    };
    const once = (await indexOf(shell)) as { manifests: object[] };
    assert.equal(once.manifests.length, 1);
    assert.deepEqual(await indexOf(shell, shell), once);
    assert.deepEqual(await indexOf(id, shell, id.slice(7, 20)), once);
  });

  test("an archive comes through standard input or a pipe as well", async () => {
    const file = path.join(bed.folder, "piped.tar");
    await ok("export", "-o", file, shell);
    const room = path.join(bed.folder, "room");
    await mkdir(room);
    const env = { BERTH_ADDRESS: bed.daemon.socket, TMPDIR: room };
    for (const command of [
      'cat "$1" | "$0" image load --progress none -',
      '"$0" image load --progress none - <"$1"',
      '"$0" image load --progress none /dev/stdin <"$1"',
      'mkfifo "$1.fifo"; cat "$1" >"$1.fifo" & "$0" image load --progress none "$1.fifo"',
    ]) {
      const { code, stdout, stderr } = await run("sh", ["-c", command, program, file], { env });
      assert.deepEqual([code, stdout, stderr], [0, `loaded ${shell}\n`, ""], command);
      assert.deepEqual(await readdir(room), [], command);
    }
    const cut = 'head -c 5000 "$1" | "$0" image load --progress none -';
    const { code, stderr } = await run("sh", ["-c", cut, program, file], { env });
    assert.equal(code, 1);
    assert.match(stderr, /is cut off/);
    assert.doesNotMatch(stderr, /\/proc\//);
  });

  test("export of a platform refuses an image that is for another one", async () => {
    const file = path.join(bed.folder, "platform.tar");
    await ok("export", "-o", file, "--platform", `linux/${hostPlatform().architecture}`, shell);
    await refused(
      ["export", "-o", path.join(bed.folder, "no.tar"), "--platform", "linux/s390x", shell],
      /^berth: image "\S+shell:1" has nothing for linux\/s390x, only for linux\/\w+\n$/,
    );
  });

  test("export fails without leaving a file, and says which blob is missing", async () => {
    const folder = path.join(bed.folder, "failed");
    await mkdir(folder);
    const target = path.join(folder, "image.tar");
    await refused(["export", "-o", target, "no/such"], /image "no\/such" not found in namespace/);
    const images = bed.daemon.client("containerd.services.images.v1.Images");
    const digest = `sha256:${"0".repeat(64)}`;
    const lost = { name: "example.com/lost:1", target: { digest, size: 5n, mediaType: "x" } };
    await images.Create({ image: lost }, { namespace: "k8s.io" });
    await refused(
      ["export", "-o", target, "example.com/lost:1"],
      new RegExp(`blob ${digest} of image "example.com/lost:1" is not in the store`),
    );
    await images.Delete({ name: lost.name }, { namespace: "k8s.io" });
    const missing = path.join(folder, "no", "image.tar");
    await refused(
      ["export", "-o", missing, shell],
      new RegExp(`^berth: cannot write ${missing}: no such file or directory\n$`),
    );
    await refused(["export", "-o", folder, shell], /^berth: cannot write .+: it is a folder\n$/);
    const either = ["export", "-o", missing, "--all-platforms", "--platform", "linux/arm64", shell];
    await refused(either, /either one platform is exported, or all/, 2);
    const bad = ["--platform", "arm64", shell];
    await refused(["export", "-o", missing, ...bad], /bad platform "arm64"/, 2);
    await refused(["push", ...bad], /bad platform "arm64"/, 2);
    assert.deepEqual(await readdir(folder), []);
  });

  test("prune removes what no container uses and nothing else", async () => {
    const { cri } = bed;
    const { worker, failing } = bed.images;
    const pod = await cri.runPod();
    await cri.startContainer(pod, shell, ["sleep", "100000"], {
      mounts: [{ image: { image: worker.reference }, containerPath: "/image", readonly: true }],
    });
    const dry = await ok("prune", "--dry-run");
    assert.match(dry, new RegExp(`${failing.id.slice(7, 20)} ${failing.reference}\n`));
    assert.match(dry, /1 image, .*iB with shared layers, would be removed\n$/);
    // A container that CRI does not list, while the caller works in another namespace.
    const spare = path.join(bed.folder, "spare");
    await writeOciLayout(spare, "1", { config: {}, layers: [[{ path: "a", content: "b" }]] });
    await ok("load", "--name", "example.com/spare:1", spare);
    const containers = bed.daemon.client("containerd.services.containers.v1.Containers");
    const own = {
      id: "spare",
      image: "example.com/spare:1",
      spec: {
        type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
        value: Buffer.from("{}"),
      },
      runtime: { name: "io.containerd.runc.v2" },
    };
    await containers.Create({ container: own }, { namespace: "k8s.io" });
    const pruned = await ok("prune");
    assert.match(pruned, /1 image, .*iB with shared layers, removed\n$/);
    await containers.Delete({ id: "spare" }, { namespace: "k8s.io" });
    await ok("rm", "example.com/spare:1");
    const left = (await listed()).map((one) => one.id);
    const kept = [id, worker.id, failing.id].map((one) => left.includes(one));
    assert.deepEqual(kept, [true, true, false]);
    assert.deepEqual(JSON.parse(await ok("prune", "--json")), { removed: [], size: "0" });
    await cri.removePod(pod.id);
    await cri.images.PullImage({ image: { image: failing.reference } });
  });
});

/** Puts a history into the config of a layout of one image. */
async function tellSteps(layout: string, history: readonly object[]): Promise<void> {
  const blob = (digest: string): string =>
    path.join(layout, "blobs", ...(digest.split(":") as [string, string]));
  interface Pointer {
    digest: string;
    size: number;
  }
  const read = async <T>(file: string): Promise<T> => JSON.parse(await readFile(file, "utf8")) as T;
  const store = async (value: unknown, pointer: Pointer): Promise<void> => {
    const bytes = Buffer.from(JSON.stringify(value));
    Object.assign(pointer, { digest: digestOf(bytes), size: bytes.length });
    await writeFile(blob(pointer.digest), bytes);
  };
  const index = await read<{ manifests: [Pointer] }>(path.join(layout, "index.json"));
  const [root] = index.manifests;
  const manifest = await read<{ config: Pointer }>(blob(root.digest));
  const config = await read<object>(blob(manifest.config.digest));
  await store({ ...config, history }, manifest.config);
  await store(manifest, root);
  await writeFile(path.join(layout, "index.json"), JSON.stringify(index));
}
