// SPDX-License-Identifier: Apache-2.0
// SIGHUP: a running daemon takes changed configuration files up, all of it or nothing.
import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { after, afterEach, before, suite, test } from "node:test";
import { parse, stringify } from "smol-toml";
import type { LogLine } from "../support/daemon.ts";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { parsePrometheusText } from "../support/prometheus-text.ts";
import { freePort } from "../support/registry.ts";
import { run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const berthProgram = path.resolve(import.meta.dirname, "../../bin/berth");
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];
const reloaded = "configuration reloaded";
const refused = "configuration not reloaded, everything stays as it was";

type Table = Record<string, unknown>;

suite("reload", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let original: string;
  let shell: string;
  before(async () => {
    bed = await openTestbed({ logLevel: "info" });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
    original = await readFile(bed.daemon.configFile, "utf8");
  });
  after(() => bed?.finish());
  afterEach(async () => {
    await writeFile(bed.daemon.configFile, original);
    await reload(reloaded);
  });

  /** SIGHUP, and the line that tells what came of it. */
  async function reload(outcome: string): Promise<LogLine> {
    const ends = async (): Promise<LogLine[]> =>
      (await bed.daemon.logLines()).filter(({ msg }) => msg === reloaded || msg === refused);
    const count = (await ends()).length;
    process.kill(bed.daemon.pid(), "SIGHUP");
    const last = await until("the reload has ended", async () => (await ends())[count]);
    assert.equal(last["msg"], outcome, JSON.stringify(last));
    return last;
  }

  /** The configuration with some tables changed, key by key. */
  async function write(changes: Readonly<Record<string, Table>>): Promise<void> {
    const config = parse(original) as Record<string, Table>;
    for (const [name, table] of Object.entries(changes)) {
      config[name] = { ...config[name], ...table };
    }
    await writeFile(bed.daemon.configFile, stringify(config));
  }

  async function metric(name: string, labels: Readonly<Record<string, string>> = {}) {
    const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    const found = parsePrometheusText(text)
      .get(name)
      ?.samples.find((it) => Object.entries(labels).every(([key, is]) => it.labels[key] === is));
    return found?.value;
  }

  const berthStatus = async (): Promise<string> =>
    (await run(berthProgram, ["-a", bed.daemon.socket, "status"])).stdout;

  test("a key takes effect, and what changed is told", async () => {
    const before = (await metric("berth_config_reloads_total", { result: "success" })) ?? 0;
    const hash = await metric("berth_config_hash");
    await write({ log: { level: "debug" } });
    const line = await reload(reloaded);
    assert.deepEqual(line["changes"], ['log.level: "info" → "debug"']);
    await cri.runtime.Version({});
    await until("the call is in the log", async () =>
      (await bed.daemon.logLines()).some(({ level }) => level === "debug"),
    );
    assert.equal(await metric("berth_config_reloads_total", { result: "success" }), before + 1);
    assert.equal(await metric("berth_config_last_reload_successful"), 1);
    assert.notEqual(await metric("berth_config_hash"), hash);
    assert.match(await berthStatus(), /^last reload: \S+Z, succeeded, 1 key changed$/m);
  });

  test("calls that run, processes and their logs do not notice", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, shell, [
      "sh",
      "-c",
      "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; usleep 50000; done; while ! [ -e /end ]; do usleep 50000; done",
    ]);
    const call = cri.exec(id, ["sh", "-c", "echo begun >/began; sleep 1; echo finished"]);
    await until("the call has begun", async () => {
      const { stdout } = await cri.exec(id, ["cat", "/began"]);
      return stdout === "begun\n";
    });
    await write({ cri: { max_container_log_line_size: 64 }, cni: { max_conf_num: 2 } });
    await reload(reloaded);
    assert.equal((await call).stdout, "finished\n");
    await cri.exec(id, ["touch", "/end"]);
    const status = await cri.reaches(id, "CONTAINER_EXITED");
    assert.equal(status.exitCode, 0);
    const numbers = (await cri.logOf(id))
      .trim()
      .split("\n")
      .map((line) => Number(line.split(" ")[3]));
    assert.deepEqual(
      numbers,
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    await cri.removePod(pod.id);
  });

  test("a handler comes, changes and goes; a pod keeps what it was made with", async () => {
    const binary = path.join(bed.folder, "runc");
    await cp(findProgram("runc") ?? "", binary);
    await assert.rejects(cri.runPod({}, "other"), /no runtime for "other" is configured/);
    await write({ runtime: { handlers: { other: { binary_name: binary } } } });
    await reload(reloaded);
    const { runtimeHandlers } = await cri.runtime.Status({});
    assert.ok(runtimeHandlers.some(({ name }) => name === "other"));
    const pod = await cri.runPod({}, "other");

    await write({ runtime: { handlers: { other: { binary_name: "/no/such/runc" } } } });
    const line = await reload(refused);
    assert.equal(line["key"], "runtime.handlers.other.binary_name");
    assert.equal(line["file"], bed.daemon.configFile);
    assert.match(String(line["reason"]), /OCI runtime "\/no\/such\/runc" of handler "other"/);
    await cri.removePod((await cri.runPod({}, "other")).id);

    await writeFile(bed.daemon.configFile, original);
    await reload(reloaded);
    await assert.rejects(cri.runPod({}, "other"), /no runtime for "other" is configured/);
    const id = await cri.startContainer(pod, shell, forever);
    const { info } = await cri.runtime.ContainerStatus({ containerId: id, verbose: true });
    assert.ok(info["info"]?.includes(binary));
    // So it is after a restart, with a configuration that never had the handler.
    await bed.daemon.kill9();
    await bed.daemon.start();
    assert.equal((await cri.exec(id, ["echo", "there"])).stdout, "there\n");
    await cri.exec(await cri.startContainer(pod, shell, forever), ["true"]);
    await cri.removePod(pod.id);
  });

  for (const [what, text, reason] of [
    ["is no TOML", "root = \n", /config\.toml/],
    [
      "has an unknown key",
      '[log]\nlevl = "debug"\n',
      /"log\.levl".*config\.toml|config\.toml.*"log\.levl"/,
    ],
    ["has a bad value", '[log]\nlevel = "loud"\n', /"log\.level"/],
    ["is inconsistent", '[runtime]\ndefault_handler = "absent"\n', /"absent".*config\.toml/],
  ] as const) {
    test(`a file that ${what} changes nothing`, async () => {
      const failures = (await metric("berth_config_reloads_total", { result: "failure" })) ?? 0;
      await writeFile(bed.daemon.configFile, text);
      const line = await reload(refused);
      assert.match(String(line["reason"]), reason);
      assert.equal(await metric("berth_config_reloads_total", { result: "failure" }), failures + 1);
      assert.equal(await metric("berth_config_last_reload_successful"), 0);
      assert.match(await berthStatus(), /^last reload: \S+Z, failed, nothing changed: /m);
      const pod = await cri.runPod();
      await cri.removePod(pod.id);
    });
  }

  test("keys that need a restart are named, by the log and by berth status, and hold after one", async () => {
    await write({ grpc: { max_recv_message_size: "32MiB" }, log: { level: "debug" } });
    await reload(reloaded);
    const key = "grpc.max_recv_message_size: ";
    const waiting = await until("the keys are in the log", async () =>
      (await bed.daemon.logLines()).findLast(
        ({ msg }) => msg === "changed keys wait for a restart of berthd",
      ),
    );
    assert.match(String(waiting["keys"]), new RegExp(`^${key}\\S+ → \\S+$`));
    assert.ok((await berthStatus()).includes(`waiting for a restart of berthd:\n  ${key}`));
    assert.equal(await metric("berth_config_keys_waiting_for_restart"), 1);
    await bed.daemon.stop();
    await bed.daemon.start();
    assert.ok(!(await berthStatus()).includes(key));
  });

  test("metrics move to another port; one that is taken lets everything be as it was", async () => {
    const port = await freePort();
    await write({ metrics: { address: `127.0.0.1:${port}` } });
    await reload(reloaded);
    assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
    await assert.rejects(fetch(`${bed.daemon.metricsUrl}/healthz`));

    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const address = taken.address();
    assert.ok(typeof address === "object" && address !== null);
    await write({
      metrics: { address: `127.0.0.1:${address.port}` },
      log: { level: "debug" },
      cni: { conf_dir: bed.folder },
    });
    const line = await reload(refused);
    taken.close();
    assert.equal(line["key"], "metrics.address");
    assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
    const config = JSON.parse((await cri.runtime.Status({ verbose: true })).info["config"] ?? "{}");
    assert.deepEqual([config.log.level, config.cni.confDir], ["info", bed.daemon.network.confDir]);
  });

  test("pods get the network of another folder", async () => {
    const folder = path.join(bed.folder, "cni of later");
    await write({ cni: { conf_dir: folder } });
    await reload(reloaded);
    const isReady = async (): Promise<boolean | undefined> =>
      (await cri.runtime.Status({})).status?.conditions.find(({ type }) => type === "NetworkReady")
        ?.status;
    assert.equal(await isReady(), false);
    await cp(bed.daemon.network.confDir, folder, { recursive: true });
    await until("the folder was seen", isReady);
    const pod = await cri.runPod();
    assert.ok((await cri.podStatus(pod.id)).network?.ip);
    await cri.removePod(pod.id);
  });

  test("many at once are serialised, and one while it starts does no harm", async () => {
    for (let count = 0; count < 20; count += 1) process.kill(bed.daemon.pid(), "SIGHUP");
    await reload(reloaded);
    const starts = async (): Promise<number> =>
      (await bed.daemon.logLines()).filter(({ msg }) => msg === "berthd is starting").length;
    const count = await starts();
    assert.equal(await bed.daemon.stop(), 0);
    const started = bed.daemon.start();
    await until("it starts", async () => (await starts()) > count);
    process.kill(bed.daemon.pid(), "SIGHUP");
    await started;
    assert.equal((await cri.runtime.Version({})).runtimeName, "berth");
  });
});
