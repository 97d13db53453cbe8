// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import {
  cp,
  mkdir,
  readdir,
  readFile,
  truncate,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, suite, test } from "node:test";
import { makeFifo } from "../../src/base/os/fifo.ts";
import { cgroupMounts } from "../../src/base/os/mount-table.ts";
import { fixLeftovers } from "../../src/doctor/fix-leftovers.ts";
import { findLeftovers } from "../../src/doctor/leftovers/find-leftovers.ts";
import { foreignTraces } from "../../src/doctor/leftovers/traces.ts";
import { openPatient } from "../../src/doctor/open-patient.ts";
import type { Patient } from "../../src/doctor/patient.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { must, run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const berth = path.resolve(import.meta.dirname, "../../bin/berth");
const stranger = "f".repeat(64);

suite("the doctor on a real node", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  before(async () => {
    bed = await openTestbed();
  });
  after(() => bed?.finish());

  const inAMoment = (): number => Date.now() + 120_000;
  const patient = () => openPatient({ root: "", configFile: bed.daemon.configFile });

  test("without a file it takes the one that the daemon was started with", () => {
    const address = bed.daemon.socket;
    const { config, configuration } = openPatient({ root: "", address });
    assert.deepEqual(config, patient().config);
    assert.equal(configuration.file, bed.daemon.configFile);
  });

  /** Things of a pod that nobody knows, where the daemon has those of its own pods. */
  const plant = async (like: string): Promise<readonly string[]> => {
    const state = path.join(bed.daemon.folder, "state");
    const root = path.join(bed.daemon.folder, "root");
    const bundles = path.join(state, "io.containerd.runtime.v2.task/k8s.io");
    const bundle = path.join(bundles, stranger);
    await mkdir(path.join(bundle, "rootfs"), { recursive: true });
    await must("mount", ["-t", "tmpfs", "left", path.join(bundle, "rootfs")]);
    const netns = path.join(state, "netns", stranger);
    await writeFile(netns, "");
    await must("unshare", ["-n", "mount", "--bind", "/proc/self/ns/net", netns]);
    const files = path.join(root, "io.berth.cri/sandboxes", stranger);
    await cp(path.join(root, "io.berth.cri/sandboxes", like), files, { recursive: true });
    const record = path.join(root, "cni", `${stranger}.json`);
    const plugins = [{ type: "tells", capabilities: [], raw: {}, skipped: false }];
    const text = JSON.stringify({
      version: 1,
      sandboxId: stranger,
      args: "",
      capabilityArgs: {},
      attachments: [{ name: "told", cniVersion: "1.0.0", ifName: "eth0", plugins }],
    });
    await writeFile(record, text);
    return [bundle, netns, files, record];
  };

  /** Without what may be another runtime's: a test whose daemon was killed leaves rules in this network, too. */
  const ownLeftovers = async () => {
    const { leftovers, reason } = await findLeftovers(patient(), inAMoment());
    return { leftovers: leftovers.filter(({ remove }) => remove !== undefined), reason };
  };

  // A berthd of another test may be beside this one that does not tell its configuration yet, or any more: then nothing is
  // taken for left, for a moment.
  const untilAlone = <T>(look: () => Promise<T>) => until("nobody else may have the state", look);

  const ownWhenAlone = () =>
    untilAlone(async () => {
      const { leftovers, reason } = await ownLeftovers();
      if (reason !== "") throw new Error(reason);
      return leftovers;
    });

  /** The lines of what has been removed. */
  const fixed = (whose: Patient): Promise<readonly string[]> =>
    untilAlone(async () => {
      const lines: string[] = [];
      await fixLeftovers(whose, (line) => lines.push(line), inAMoment());
      if (lines.some((line) => line.startsWith("nothing is removed"))) {
        throw new Error(lines.join("\n"));
      }
      return lines;
    });

  test("finds nothing left while pods run, and removes what is left of a pod that nobody knows", async () => {
    const pod = await bed.cri.runPod();
    await bed.cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"]);
    // What the daemon itself is about to remove.
    await mkdir(path.join(bed.daemon.folder, "root/io.berth.cri/sandboxes/.doomed-1"));
    assert.deepEqual(await ownWhenAlone(), []);
    const planted = [...(await plant(pod.id))];
    const bundle = planted[0] ?? "";
    const flags = ["-namespace", "k8s.io", "-id", stranger, "-address", bed.daemon.socket];
    const shim = spawn("sh", ["-c", "read line; :", "shim", ...flags], {
      cwd: bundle,
      stdio: ["pipe", "ignore", "ignore"],
    });
    const plugins = path.join(bed.daemon.folder, "plugins");
    const told = path.join(bed.daemon.folder, "told");
    await mkdir(plugins);
    const plugin = `#!/bin/sh\n[ -z "$CNI_NETNS" ] || stat -Lfc %T "$CNI_NETNS" >>'${told}'\n`;
    await writeFile(path.join(plugins, "tells"), plugin, { mode: 0o755 });
    const young = await run(berth, [
      "doctor",
      "-c",
      bed.daemon.configFile,
      "--only",
      "leftovers",
      "--fix",
    ]);
    assert.doesNotMatch(young.stdout + young.stderr, new RegExp(stranger), "they are young");
    // Of a `berth run` that was killed: by its age, not by an id.
    const fifos = path.join(path.dirname(bed.daemon.socket), "client-fifo", stranger);
    await mkdir(fifos, { recursive: true });
    makeFifo(path.join(fifos, "stdout"));
    await utimes(fifos, 0, 0);
    planted.push(fifos);
    const { config, ...rest } = patient();
    const cni = { ...config.cni, binDirs: [plugins] };
    const own = { ...rest, config: { ...config, cni } };
    const lines = await fixed(own);
    assert.match(await readFile(told, "utf8"), /nsfs/, "DEL comes before the namespace goes");
    assert.equal(lines.length, planted.length + 1, lines.join("\n"));
    for (const line of lines) assert.match(line, new RegExp(`^removed .*${stranger}`));
    for (const file of planted) assert.ok(!existsSync(file), file);
    await until("the shim has ended", () => shim.signalCode === "SIGKILL");
    assert.equal((await bed.cri.podStatus(pod.id)).state, "SANDBOX_READY");
    await bed.cri.removePod(pod.id);
  });

  test("with the daemon down its database tells what is left", async () => {
    const pod = await bed.cri.runPod();
    await bed.daemon.kill9();
    const snapshots = path.join(bed.daemon.folder, "root/snapshots/overlayfs/snapshots");
    await mkdir(path.join(snapshots, "999999/fs"), { recursive: true });
    const planted = await plant(pod.id);
    const before = await readdir(path.join(bed.daemon.folder, "root"));
    const leftovers = await ownWhenAlone();
    assert.equal(
      leftovers.length,
      planted.length + 1,
      leftovers.map(({ what }) => what).join("\n"),
    );
    assert.deepEqual(await readdir(path.join(bed.daemon.folder, "root")), before);
    await fixed(patient());
    assert.ok(!existsSync(path.join(snapshots, "999999")));
    await bed.daemon.start();
    assert.equal((await bed.cri.podStatus(pod.id)).state, "SANDBOX_READY");
    await bed.cri.removePod(pod.id);
  });

  test("removes nothing while a daemon that does not answer has the database", async () => {
    const elsewhere = openPatient({
      root: "",
      configFile: bed.daemon.configFile,
      address: path.join(bed.daemon.folder, "nobody.sock"),
    });
    const { leftovers, reason } = await findLeftovers(elsewhere, inAMoment());
    assert.deepEqual(leftovers, []);
    assert.match(reason, /another process has .*meta\.db open/);
  });

  test("takes nothing for left by the word of another daemon, or without a configuration", async () => {
    const root = path.join(bed.daemon.folder, "other root");
    await mkdir(path.join(root, "snapshots/overlayfs/snapshots/7"), { recursive: true });
    const config = path.join(bed.daemon.folder, "other.toml");
    await writeFile(config, `root = "${root}"\nstate = "${bed.daemon.folder}/state"\n`);
    const address = bed.daemon.socket;
    const other = await findLeftovers(
      openPatient({ root: "", configFile: config, address }),
      inAMoment(),
    );
    assert.deepEqual(other.leftovers, []);
    assert.match(other.reason, /does not have .*other root\/meta\.db open/);
    await writeFile(config, "zebra = 1\n");
    const none = await findLeftovers(
      openPatient({ root: "", configFile: config, address }),
      inAMoment(),
    );
    assert.deepEqual(none.leftovers, []);
    assert.match(none.reason, /the configuration, which says where things are/);
  });

  test("takes nothing for left while another daemon's pods have the state folder", async () => {
    const root = path.join(bed.daemon.folder, "second root");
    await mkdir(root);
    {
      using database = new DatabaseSync(path.join(root, "meta.db"));
      database.exec("CREATE TABLE records (tbl TEXT, id TEXT, value TEXT)");
    }
    const config = path.join(bed.daemon.folder, "second.toml");
    await writeFile(config, `root = "${root}"\nstate = "${bed.daemon.folder}/state"\n`);
    const address = path.join(bed.daemon.folder, "second.sock");
    const bundles = path.join(bed.daemon.folder, "state/io.containerd.runtime.v2.task/k8s.io");
    const nothing = async (as: typeof address | undefined): Promise<string> => {
      const second = openPatient({ root: "", configFile: config, address: as });
      const { leftovers, reason } = await findLeftovers(second, inAMoment());
      assert.deepEqual(leftovers, []);
      return reason;
    };
    assert.match(await nothing(address), /process \d+ is another berthd/, "without a pod of its");
    const pod = await bed.cri.runPod();
    const busy = await bed.cri.runPod();
    await bed.cri.startContainer(busy, bed.images.shell.reference, ["sleep", "100000"]);
    assert.match(await nothing(address), /was made by a berthd with another root/);
    const made = await readdir(bundles);
    for (const id of made) await unlink(path.join(bundles, id, "work"));
    assert.match(await nothing(address), /another berthd|is not of the berthd|nothing shows that/);
    await bed.daemon.kill9();
    // With the socket that its shims were started for, what has no shim still shows it.
    // Nor with a berthd of another test beside it whose configuration cannot be read just now.
    assert.match(
      await nothing(bed.daemon.socket),
      /nothing shows that it is of the berthd|another berthd/,
    );
    assert.match(await nothing(address), /another berthd|is not of the berthd|nothing shows that/);
    await bed.daemon.start();
    for (const { id } of [pod, busy]) {
      assert.equal((await bed.cri.podStatus(id)).state, "SANDBOX_READY");
      await bed.cri.removePod(id);
    }
  });

  test("tells empty cgroups and rules that may be another runtime's, and would not remove them", async () => {
    const [mount] = await cgroupMounts();
    const top = path.join(mount?.mountPoint ?? "", `kubepods-berth-e2e-${process.pid}`);
    const folder = path.join(top, "pod1", stranger);
    const chain = `CNI-${"f".repeat(20)}`;
    const comment = ["-m", "comment", "--comment", `name: "berth-e2e" id: "${stranger}"`];
    const rule = ["-s", "192.0.2.77/32", ...comment, "-j", chain];
    await mkdir(folder, { recursive: true });
    try {
      await must("iptables", ["-t", "nat", "-N", chain]);
      await must("iptables", ["-t", "nat", "-A", chain, ...comment, "-j", "ACCEPT"]);
      await must("iptables", ["-t", "nat", "-A", "POSTROUTING", ...rule]);
      const own = await foreignTraces((id) => id !== stranger);
      assert.deepEqual(
        own.map(({ remove }) => remove),
        [undefined, undefined],
      );
      for (const { mend } of own) await must("sh", ["-c", mend]);
      assert.ok(!existsSync(folder));
      const saved = await must("iptables-save", ["-t", "nat"]);
      assert.doesNotMatch(saved, new RegExp(`${stranger}|${chain}`));
    } finally {
      await run("iptables", ["-t", "nat", "-D", "POSTROUTING", ...rule]);
      await run("iptables", ["-t", "nat", "-F", chain]);
      await run("iptables", ["-t", "nat", "-X", chain]);
      await must("find", [top, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]);
    }
  });

  test("tells of a daemon whose socket is gone that it runs, and what mends that", async () => {
    await unlink(bed.daemon.socket);
    const flags = ["-c", bed.daemon.configFile, "--json", "--only", "daemon,sockets"];
    const { code, stdout } = await run(berth, ["doctor", ...flags]);
    assert.equal(code, 1);
    const { findings } = JSON.parse(stdout) as { findings: Record<string, string>[] };
    const bad = findings.filter(({ level }) => level === "error");
    assert.match(
      bad[0]?.["what"] ?? "",
      /^process \d+ has .*meta\.db open, and nobody listens at /,
    );
    assert.equal(bad[0]?.["mend"], "systemctl restart berthd");
    assert.equal(bad.length, 1, "its other sockets are its own");
    await bed.daemon.kill9();
    await bed.daemon.start();
  });

  test("tells of a blob that is cut off and one that is gone, and what mends that", async () => {
    const flags = ["-c", bed.daemon.configFile, "--json", "--only", "images"];
    const ask = async () => {
      const { stdout } = await run(berth, ["doctor", ...flags]);
      const { findings } = JSON.parse(stdout) as { findings: Record<string, string>[] };
      return findings.filter(({ level }) => level !== "ok");
    };
    assert.deepEqual(await ask(), []);
    const blobs = path.join(bed.daemon.folder, "root/content/blobs/sha256");
    const [first = "", second = ""] = await readdir(blobs);
    await truncate(path.join(blobs, first), 1);
    await unlink(path.join(blobs, second));
    const [finding] = await ask();
    assert.equal(finding?.["level"], "error");
    assert.match(finding?.["what"] ?? "", new RegExp(`${first} has 1 of \\d+ bytes`));
    assert.match(finding?.["what"] ?? "", new RegExp(`${second} is not there`));
    const words = (finding?.["mend"] ?? "").split(" # ")[0]?.split(" ").slice(1) ?? [];
    const { stdout } = await run(berth, ["-a", bed.daemon.socket, ...words]);
    assert.match(stdout, /dropped, the next pull or use brings it again/);
    assert.deepEqual(await ask(), []);
  });

  test("tells what is well of a daemon that is, and exits by what it finds", async () => {
    const flags = ["-c", bed.daemon.configFile, "--json", "--all"];
    const { code, stdout, stderr } = await run(berth, ["doctor", ...flags]);
    assert.equal(stderr, "");
    const { findings, errors } = JSON.parse(stdout) as {
      errors: number;
      findings: { check: string; level: string; what: string }[];
    };
    assert.equal(code, errors > 0 ? 1 : 0);
    const own = findings.filter(({ check }) =>
      ["config", "daemon", "sockets", "cni", "leftovers"].includes(check),
    );
    assert.deepEqual(
      own.filter(({ level }) => level === "error"),
      [],
    );
    assert.ok(own.some(({ what }) => /^berthd .* answers at/.test(what)));
  });
});
