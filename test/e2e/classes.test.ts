// SPDX-License-Identifier: Apache-2.0
// What the machine's administrator and vendors offer by name: CDI devices, block I/O and RDT classes.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { cgroupMounts } from "../support/cgroups.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri } from "../support/pods.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

const cdiFolder = "/var/run/cdi";
const blockio = "blockio.resources.beta.kubernetes.io";
const rdt = "rdt.resources.beta.kubernetes.io";
const forever = ["sh", "-c", "exec sleep 100000"];

suite("devices and classes by name", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let bed: Testbed;
  let cri: Cri;
  let cdiFile: string;
  let madeFolder: string | undefined;
  let disk: { readonly path: string; readonly number: string } | undefined;
  before(async () => {
    home = await scratch({ prefix: "classes" });
    disk = await someDisk();
    const classes = path.join(home.path, "block io.yaml");
    await writeFile(
      classes,
      `Classes:\n  slow:\n    - Devices: ["${disk?.path ?? "/dev/none"}*"]\n      ThrottleReadBps: 1Mi\n      ThrottleWriteIOPS: 2k\n`,
    );
    madeFolder = await mkdir(cdiFolder, { recursive: true });
    cdiFile = path.join(cdiFolder, `berth-${home.tag}.yaml`);
    await writeFile(
      cdiFile,
      [
        "cdiVersion: 0.6.0",
        `kind: berth.test/n${home.tag}`,
        "devices:",
        "  - name: 0",
        "    containerEdits:",
        "      env: [ CDI_DEVICE=0 ]",
        "      deviceNodes:",
        "        - { path: /dev/cdi0, hostPath: /dev/zero, fileMode: 0660 }",
        "",
      ].join("\n"),
    );
    bed = await openTestbed({ config: { cri: { blockio_config_file: classes } } });
    ({ cri } = bed);
  });
  after(async () => {
    await bed?.finish();
    if (cdiFile !== undefined) await rm(cdiFile, { force: true });
    if (madeFolder !== undefined) await rmdir(cdiFolder).catch(() => {});
    await home?.[Symbol.asyncDispose]();
  });

  test("a CDI device of a YAML file is in the container that names it", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, bed.images.shell.reference, forever, {
      CDIDevices: [{ name: `berth.test/n${home.tag}=0` }],
    });
    const { stdout, exitCode } = await cri.exec(id, [
      "sh",
      "-c",
      "echo $CDI_DEVICE; stat -c %a /dev/cdi0; head -c 3 /dev/cdi0 | od -An -tx1",
    ]);
    assert.equal(exitCode, 0);
    assert.deepEqual(stdout.split(/\s+/).filter(Boolean), ["0", "660", "00", "00", "00"]);
    await cri.removePod(pod.id);
  });

  test("a block I/O class throttles the disks that it names", async (t) => {
    if (disk === undefined) return t.skip("needs a disk in /sys/block");
    const pod = await cri.runPod({ annotations: { [`${blockio}/container.slow`]: "slow" } });
    const start = (name: string) =>
      cri.startContainer(pod, bed.images.shell.reference, forever, {
        metadata: { name, attempt: 0 },
      });
    const slow = await start("slow");
    const other = await start("other");
    const limits = async (id: string): Promise<string> => {
      const files = [
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_iops_device",
        "io.max",
      ];
      return ioFilesOf(bed.daemon.territory.cgroupParent, id, files);
    };
    const found = await limits(slow);
    for (const limit of found.includes("rbps=")
      ? [`${disk.number} rbps=1048576 wbps=max riops=max wiops=2000`]
      : [`${disk.number} 1048576`, `${disk.number} 2000`]) {
      assert.ok(found.split("\n").includes(limit), `${limit} in ${JSON.stringify(found)}`);
    }
    assert.equal((await limits(other)).trim(), "");

    // An update of other limits leaves it.
    await cri.runtime.UpdateContainerResources({ containerId: slow, linux: { cpuShares: 512n } });
    assert.equal(await limits(slow), found);
    await cri.removePod(pod.id);
  });

  test("a class that cannot be given is refused, and the container not left behind", async () => {
    const pod = await cri.runPod({ annotations: { [`${blockio}/pod`]: "none" } });
    await assert.rejects(cri.createContainer(pod, bed.images.shell.reference, forever), {
      code: "INVALID_ARGUMENT",
      message: /no block I\/O class "none" in blockio_config_file: it defines slow/,
    });
    const rdtPod = await cri.runPod({ annotations: { [`${rdt}/pod`]: `none-${home.tag}` } });
    const isRdtHere = existsSync("/sys/fs/resctrl/schemata");
    await assert.rejects(cri.createContainer(rdtPod, bed.images.shell.reference, forever), {
      code: isRdtHere ? "INVALID_ARGUMENT" : "FAILED_PRECONDITION",
      message: isRdtHere ? /there is no RDT class "none-/ : /this host has no RDT/,
    });
    assert.deepEqual((await cri.runtime.ListContainers({})).containers, []);
    for (const { id } of [pod, rdtPod]) await cri.removePod(id);
    await nothingLeft(bed.daemon.territory);
  });
});

/** A whole disk that is not empty, with its number as cgroup files write it. */
async function someDisk(): Promise<{ path: string; number: string } | undefined> {
  for (const name of await readdir("/sys/block").catch(() => [])) {
    const facts = (file: string): Promise<string> =>
      readFile(`/sys/block/${name}/${file}`, "utf8").then((text) => text.trim());
    const device = `/dev/${name}`;
    if (existsSync(device) && (await facts("size")) !== "0") {
      return { path: device, number: await facts("dev") };
    }
  }
  return undefined;
}

/** These files of a container's cgroup, one after the other; those that are not there are empty. */
async function ioFilesOf(parent: string, id: string, files: readonly string[]): Promise<string> {
  let text = "";
  for (const mount of await cgroupMounts()) {
    for (const file of files) {
      text += await readFile(path.join(mount, parent, id, file), "utf8").catch(() => "");
    }
  }
  return text;
}
