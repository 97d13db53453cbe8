// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Crictl, makeCrictl } from "../../support/crictl.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { nothingLeft } from "../../support/leaks.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const tool = await toolOrReason("crictl");

interface PodList {
  readonly items: readonly { readonly id: string; readonly state: string }[];
}
interface ContainerList {
  readonly containers: readonly { readonly id: string; readonly state: string }[];
}

suite("crictl", { skip: lacking(...podPrograms) || tool.skip }, () => {
  let bed: Testbed;
  let crictl: Crictl;
  let pod = "";
  let container = "";
  before(async () => {
    bed = await openTestbed();
    crictl = await makeCrictl(tool.skip === false ? tool.path : "", bed.daemon, bed.folder);
  });
  after(() => bed?.finish());

  const podFile = () =>
    crictl.file("pod.json", {
      metadata: { name: "web", namespace: "default", uid: "crictl-web", attempt: 1 },
      hostname: "web",
      log_directory: `${bed.daemon.folder}/logs/web`,
      labels: { app: "web" },
      linux: { cgroup_parent: bed.cri.settings.cgroupParent },
    });
  const containerFile = (name: string, command: readonly string[]) =>
    crictl.file(`${name}.json`, {
      metadata: { name },
      image: { image: bed.images.shell.reference },
      command,
      log_path: `${name}.log`,
      envs: [{ key: "WHO", value: "crictl" }],
      linux: {},
    });

  test("version and info", async () => {
    assert.match(await crictl("version"), /RuntimeApiVersion:\s+v1/);
    const info = await crictl.json<{ status: { conditions: { type: string; status: boolean }[] } }>(
      "info",
    );
    assert.ok(info.status.conditions.every(({ status }) => status));
  });

  test("pull, images, inspecti, imagefsinfo", async () => {
    const { reference, id } = bed.images.shell;
    await crictl("rmi", reference);
    assert.match(await crictl("pull", reference), /Image is up to date for/);
    const { images } = await crictl.json<{ images: { id: string; repoTags: string[] }[] }>(
      "images",
      "-o",
      "json",
    );
    assert.deepEqual(images.find((image) => image.id === id)?.repoTags, [reference]);
    const one = await crictl.json<{ status: { id: string } }>("inspecti", reference);
    assert.equal(one.status.id, id);
    assert.match(await crictl("imagefsinfo"), /usedBytes/);
  });

  test("runp, pods, inspectp", async () => {
    pod = (await crictl("runp", await podFile())).trim();
    bed.cri.seen.add(pod);
    assert.match(pod, /^[0-9a-f]{64}$/);
    const pods = await crictl.json<PodList>("pods", "-o", "json");
    assert.deepEqual(
      pods.items.map(({ id, state }) => [id, state]),
      [[pod, "SANDBOX_READY"]],
    );
    assert.deepEqual((await crictl("pods", "--label", "app=web", "-q")).trim(), pod);
    assert.deepEqual((await crictl("pods", "--name", "^nothing$", "-q")).trim(), "");
    const inspected = await crictl.json<{
      status: { network: { ip: string }; metadata: { name: string } };
      info: { pid: number; runtimeSpec: { hostname: string }; cniResult: object };
    }>("inspectp", pod);
    assert.equal(inspected.status.metadata.name, "web");
    assert.ok(inspected.status.network.ip !== "");
    assert.ok(inspected.info.pid > 1);
    assert.equal(inspected.info.runtimeSpec.hostname, "web");
  });

  test("create, start, ps, inspect", async () => {
    const file = await containerFile("main", [
      "sh",
      "-c",
      "echo hello from $WHO; echo oops >&2; trap 'exit 0' TERM; sleep 100000 & wait",
    ]);
    container = (await crictl("create", pod, file, await podFile())).trim();
    assert.match(container, /^[0-9a-f]{64}$/);
    const created = await crictl.json<ContainerList>("ps", "-a", "-o", "json");
    assert.equal(created.containers[0]?.state, "CONTAINER_CREATED");
    await crictl("start", container);
    const running = await crictl.json<ContainerList>("ps", "-o", "json");
    assert.deepEqual(
      running.containers.map(({ id, state }) => [id, state]),
      [[container, "CONTAINER_RUNNING"]],
    );
    const inspected = await crictl.json<{
      status: { state: string; logPath: string };
      info: { pid: number; privileged: boolean; runtimeSpec: { process: { args: string[] } } };
    }>("inspect", container);
    assert.equal(inspected.status.state, "CONTAINER_RUNNING");
    assert.ok(inspected.info.pid > 1);
    assert.equal(inspected.info.privileged, false);
    assert.equal(inspected.info.runtimeSpec.process.args[0], "sh");
  });

  test("exec -s, by a short id too", async () => {
    // crictl puts line ends of its own after the output.
    const exec = async (...args: readonly string[]): Promise<string> =>
      (await crictl("exec", "-s", ...args)).trimEnd();
    assert.equal(await exec(container, "echo", "one two"), "one two");
    assert.equal(await exec(container.slice(0, 13), "hostname"), "web");
    const failing = await crictl.run("exec", "-s", container, "sh", "-c", "exit 6");
    assert.notEqual(failing.code, 0);
    assert.match(failing.stderr, /exited with 6/);
  });

  test("logs, with time stamps and tail", async () => {
    const text = await until("both lines", async () => {
      const { stdout, stderr } = await crictl.run("logs", container);
      return stdout.includes("hello") && stderr.includes("oops") && stdout;
    });
    assert.equal(text, "hello from crictl\n");
    assert.match(await crictl("logs", "-t", "--tail", "1", container), /^\d{4}-\d\d-\d\dT|^$/);
  });

  test("stats and statsp", async () => {
    const { stats } = await crictl.json<{ stats: { attributes: { id: string } }[] }>(
      "stats",
      "-o",
      "json",
    );
    assert.deepEqual(
      stats.map(({ attributes }) => attributes.id),
      [container],
    );
    assert.match(await crictl("stats", container), new RegExp(container.slice(0, 13)));
  });

  test("stop, rm, stopp, rmp, and nothing is left", async () => {
    await crictl("stop", "-t", "5", container);
    const after = await crictl.json<ContainerList>("ps", "-a", "-o", "json");
    assert.equal(after.containers[0]?.state, "CONTAINER_EXITED");
    await crictl("rm", container);
    await crictl("stopp", pod);
    assert.match(await crictl("pods"), /NotReady/);
    await crictl("rmp", pod);
    assert.deepEqual((await crictl.json<PodList>("pods", "-o", "json")).items, []);
    await nothingLeft(bed.daemon.territory);
  });

  test("run makes pod and container at once; rmp -f takes both", async () => {
    const file = await containerFile("short", ["sh", "-c", "sleep 100000"]);
    const id = (await crictl("run", file, await podFile())).trim();
    const { containers } = await crictl.json<ContainerList>("ps", "-o", "json");
    assert.deepEqual(
      containers.map((it) => it.id),
      [id],
    );
    const both = (await crictl("pods", "-q")).trim();
    bed.cri.seen.add(both);
    await crictl("rmp", "-f", both);
    assert.equal((await crictl("ps", "-a", "-q")).trim(), "");
  });

  test("what is not there is told by name", async () => {
    for (const line of ["inspect", "inspectp", "start", "exec -s"]) {
      const command = line.split(" ");
      const { code, stderr } = await crictl.run(...command, "0123456789ab", "true");
      assert.notEqual(code, 0, line);
      assert.match(stderr, /NotFound|not found/i, line);
    }
  });
});
