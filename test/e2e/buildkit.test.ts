// SPDX-License-Identifier: Apache-2.0
// BuildKit with its containerd worker on Berth's socket: it builds in CRI's namespace, beside the pods.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { copyFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { builtTool } from "../support/go-tools.ts";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import { disposeOnSignal } from "../support/last-resort.ts";
import { endChild, type Registry, startRegistry } from "../support/registry.ts";
import { must, type RunResult, run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { until } from "../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../bin/berth");
const k8s = { namespace: "k8s.io" };
const [buildkitd, buildctl] = [await builtTool("buildkitd"), await builtTool("buildctl")];
const isBuilt = buildkitd !== undefined && buildctl !== undefined;
const skip = isBuilt
  ? lacking(...podPrograms)
  : "needs buildkitd: scripts/node scripts/build-tools.ts";

const dockerfile = `FROM scratch AS base
COPY busybox /bin/busybox
COPY --chown=5:6 --chmod=640 hello /data/hello
FROM base
RUN ["/bin/busybox", "mkdir", "-p", "/made/by/run"]
RUN ["/bin/busybox", "ln", "/bin/busybox", "/bin/sh"]
RUN ["/bin/busybox", "rm", "/data/hello"]
COPY hello /data/other
ENTRYPOINT ["/bin/busybox"]
CMD ["echo", "built"]
`;

suite("BuildKit on Berth's socket", { skip }, () => {
  const owned = new AsyncDisposableStack();
  let home: Scratch;
  let daemon: Daemon;
  let registry: Registry;
  let address: string;
  before(async () => {
    owned.use(disposeOnSignal(owned));
    home = owned.use(await scratch({ prefix: "bk", space: false }));
    registry = owned.use(await startRegistry(await home.folder("registry")));
    daemon = owned.use(await startDaemon());
    const context = await home.folder("context");
    await copyFile(findProgram("busybox") ?? "", path.join(context, "busybox"));
    await writeFile(path.join(context, "hello"), "hello\n");
    await writeFile(path.join(context, "Dockerfile"), dockerfile);
    address = `unix://${home.path}/bk.sock`;
    const config = path.join(home.path, "buildkitd.toml");
    await writeFile(
      config,
      `root = "${home.path}/buildkit"
[grpc]
  address = ["${address}"]
[worker.oci]
  enabled = false
[worker.containerd]
  enabled = true
  address = "${daemon.socket}"
  namespace = "k8s.io"
  gc = false
  networkMode = "host"
[registry."${registry.host}"]
  http = true
`,
    );
    const child: ChildProcess = spawn(buildkitd ?? "", ["--config", config], { stdio: "ignore" });
    owned.defer(() => endChild(child, 15_000));
    await until("it has a worker", async () =>
      must(buildctl ?? "", ["--addr", address, "debug", "workers"]),
    );
  });
  after(() => owned.disposeAsync());

  const build = (output: string, ...more: readonly string[]): Promise<string> =>
    must(
      buildctl ?? "",
      [
        "--addr",
        address,
        "build",
        "--progress=plain",
        "--frontend=dockerfile.v0",
        `--local=context=${home.path}/context`,
        `--local=dockerfile=${home.path}/context`,
        `--output=${output}`,
        ...more,
      ],
      { timeoutMs: 120_000 },
    );
  const berth = (...args: readonly string[]): Promise<RunResult> =>
    run(program, args, { env: { BERTH_ADDRESS: daemon.socket } });
  const runs = async (image: string): Promise<void> => {
    const { code, stdout, stderr } = await berth("run", "--rm", image, "built");
    assert.deepEqual([code, stdout], [0, "built\n"], stderr);
  };

  test("what it builds is there for pods and for `berth run`", async () => {
    const name = `${registry.host}/built:1`;
    await build(`type=image,name=${name},unpack=true`);
    await runs(name);
    const pod = await daemon.cri.runPod();
    const container = await daemon.cri.startContainer(pod, name, [
      "/bin/busybox",
      "test",
      "-d",
      "/made/by/run",
    ]);
    assert.equal((await daemon.cri.reaches(container, "CONTAINER_EXITED")).exitCode, 0);
    await daemon.cri.removeAllPods();
  });

  test("what it pushes, in gzip and zstd, is pulled by an empty node", async () => {
    const pushed = ["gzip", "zstd"].map(
      (kind) => [kind, `${registry.host}/pushed:${kind}`] as const,
    );
    for (const [kind, name] of pushed) {
      await build(
        `type=image,name=${name},push=true,compression=${kind},force-compression=true,oci-mediatypes=true`,
      );
    }
    await using empty = await startDaemon();
    for (const [, name] of pushed) {
      const env = { BERTH_ADDRESS: empty.socket };
      await must(program, ["image", "pull", name, "--progress", "none"], { env });
      assert.equal(await must(program, ["run", "--rm", name, "pulled"], { env }), "built\n");
    }
  });

  for (const kind of ["oci", "docker"]) {
    test(`its archives of type ${kind} are loaded`, async () => {
      const file = path.join(home.path, `${kind}.tar`);
      await build(`type=${kind},name=example.com/${kind}:1,dest=${file}`);
      const { code, stderr } = await berth("image", "load", file, "--progress", "none");
      assert.equal(code, 0, stderr);
      await runs(`example.com/${kind}:1`);
    });
  }

  test("all is as it was built; once removed and pruned it can be built anew, and nothing is left", async () => {
    const { code, stdout } = await berth("image", "verify");
    assert.equal(code, 0, stdout);
    const images = daemon.client("containerd.services.images.v1.Images");
    const removeAll = async (): Promise<void> => {
      const listed = (await images.List({ filters: [] }, k8s)).images;
      for (const { name } of listed) await images.Delete({ name, sync: true }, k8s);
      await must(buildctl ?? "", ["--addr", address, "prune", "--all"]);
    };
    await removeAll();
    const name = `${registry.host}/again:1`;
    await build(`type=image,name=${name},unpack=true`, "--no-cache");
    await runs(name);
    await removeAll();
    const leases = daemon.client("containerd.services.leases.v1.Leases");
    const snapshots = daemon.client("containerd.services.snapshots.v1.Snapshots");
    await until("nothing is left", async () => {
      const left: string[] = (await leases.List({ filters: [] }, k8s)).leases.map(({ id }) => id);
      for await (const { info } of snapshots.List({ snapshotter: "overlayfs", filters: [] }, k8s))
        left.push(...info.map(({ name }) => name));
      assert.deepEqual(left, []);
      return true;
    });
  });
});
