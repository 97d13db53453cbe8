// SPDX-License-Identifier: Apache-2.0
// What was published of containerd, CRI-O, runc and podman, tried on a real daemon with the node's own runc: no
// image and no request reads or writes the host. docs/advisories.md says which is which.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../src/base/errors.ts";
import type { ContainerConfigInit } from "../../src/gen/cri.gen.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { ImageProcess, LayerEntry } from "../support/oci-image.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { pullRecipe, shellLayer } from "../support/test-images.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

/** An image of a stranger, and what its container does or must not get to do. */
interface Case {
  readonly name: string;
  /** What lies above the shell's layer; `host` is a folder of the node's. */
  readonly layer?: (host: string) => readonly LayerEntry[];
  readonly image?: ImageProcess;
  readonly config?: ContainerConfigInit;
  readonly script: string;
  /** What the container prints; "refused" when it must not run at all; undefined when either will do. */
  readonly prints: RegExp | "refused" | undefined;
}

const withCrun = process.env["BERTH_TEST_OCI_RUNTIME"] === "crun";
const secret = "the host's own words";
const look =
  "cat hosts secret 2>/dev/null; ls -la; pwd; ls ../../../../..; cat ../../../../../etc/shadow";

const cases: readonly Case[] = [
  {
    name: "CVE-2026-41579: a link in place of /dev",
    layer: (host) => [{ path: "dev", symlink: host }],
    script: "true",
    prints: "refused",
  },
  {
    name: "CVE-2023-27561: a link in place of /proc",
    layer: (host) => [{ path: "proc", symlink: host }],
    script: "true",
    prints: "refused",
  },
  {
    name: "CVE-2024-5154: a link in place of /etc",
    layer: (host) => [{ path: "etc", symlink: host }],
    script: "cat /etc/secret; ls -A /etc/",
    prints: withCrun ? undefined : /^hostname\nhosts\nresolv\.conf\n$/, // crun refuses it
  },
  {
    name: "CVE-2022-23648: a volume whose path is a link to the host",
    layer: (host) => [{ path: "data", symlink: host }],
    image: { Volumes: { "/data": {}, "/data/../../..": {} } },
    script: "cat /data/secret; ls -A /data/",
    prints: undefined,
  },
  {
    name: "CVE-2019-16884: a volume of the image over /proc/self/attr",
    image: { Volumes: { "/proc/self/attr": {} } },
    script: "true",
    // crun writes labels to a procfs alone, and so refuses only where there are labels.
    prints: withCrun ? undefined : "refused",
  },
  {
    name: "CVE-2026-55686: a working directory that is a link to the host",
    layer: (host) => [{ path: "work", symlink: host }],
    image: { WorkingDir: "/work/new" },
    script: look,
    prints: undefined,
  },
  ...[7, 8].map((fd) => ({
    name: `CVE-2024-21626: a working directory of /proc/self/fd/${fd}`,
    image: { WorkingDir: `/proc/self/fd/${fd}` },
    script: look,
    prints: undefined,
  })),
  {
    name: "CVE-2026-46680: a number as user that the image names root's",
    layer: () => [{ path: "etc/passwd", content: "root:x:0:0::/:\n1000:x:0:0::/:/bin/sh\n" }],
    image: { User: "1000" },
    script: "id -u",
    prints: /^1000\n$/,
  },
  {
    name: "CVE-2024-40635: a user beyond 32 bits",
    image: { User: "4294967296:0" },
    script: "id -u",
    prints: "refused",
  },
  {
    name: "CVE-2026-15809 and CVE-2022-4318: lines in HOME",
    config: { envs: [{ key: "HOME", value: Buffer.from("/\nevil::0:0::/:/bin/sh") }] },
    script: "cat /etc/passwd",
    prints: /^root:x:0:0:root:\/root:\/bin\/sh\n$/,
  },
];

suite("published attacks", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let host: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    host = path.join(bed.folder, "host");
    await mkdir(host);
    await writeFile(path.join(host, "secret"), secret);
    await writeFile(path.join(host, "null"), "");
  });
  after(() => bed?.finish());

  /** All that the container said; undefined when it could not be made or started. */
  const run = async (
    image: string,
    script: string,
    config?: ContainerConfigInit,
  ): Promise<string | undefined> => {
    try {
      const id = await cri.startContainer(pod, image, ["/bin/sh", "-c", script], config);
      await cri.reaches(id, "CONTAINER_EXITED");
      const lines = (await cri.logOf(id)).split("\n").filter((line) => / stdout [FP] /.test(line));
      return lines.map((line) => `${line.replace(/^\S+ stdout [FP] /, "")}\n`).join("");
    } catch (error) {
      if (!isFault(error)) throw error;
      return undefined;
    }
  };

  for (const [index, { name, layer, image, config, script, prints }] of cases.entries()) {
    test(name, async () => {
      const above = layer === undefined ? [] : [layer(host)];
      const reference = await pullRecipe(bed, `attack-${index}`, {
        config: { Env: ["PATH=/bin"], ...image },
        layers: [await shellLayer(), ...above],
      });
      const output = await run(reference, script, config);
      if (prints === "refused") assert.equal(output, undefined);
      else if (prints !== undefined) assert.match(output ?? "did not run", prints);
      assert.doesNotMatch(output ?? "", new RegExp(`${secret}|root:[*!]`));
      assert.deepEqual((await readdir(host)).toSorted(), ["null", "secret"]);
      assert.equal(await readFile(path.join(host, "secret"), "utf8"), secret);
    });
  }

  test("CVE-2026-53488: labels of an image that containerd's parts would obey", async () => {
    const reference = await pullRecipe(bed, "labelled", {
      config: {
        Labels: { "containerd.io/restart.loguri": "binary:///bin/sh", "test.berth/own": "kept" },
      },
      layers: [await shellLayer()],
    });
    const id = await cri.createContainer(pod, reference, ["true"]);
    const containers = bed.daemon.client("containerd.services.containers.v1.Containers");
    const { container } = await containers.Get({ id }, { namespace: "k8s.io" });
    const { labels = {} } = container ?? {};
    assert.equal(labels["test.berth/own"], "kept");
    assert.deepEqual(
      Object.keys(labels).filter((label) => label.startsWith("containerd.io/")),
      [],
    );
  });

  test("CVE-2022-0811: a sysctl whose value names another one", async () => {
    const file = "/proc/sys/kernel/core_pattern";
    const pattern = await readFile(file, "utf8");
    // The kernel reads a number up to a line's end, and takes nothing else.
    for (const [name, value, isTaken] of [
      ["kernel.shm_rmid_forced", "1\nkernel.core_pattern=|/bin/sh", true],
      ["kernel.shm_rmid_forced", "1+kernel.core_pattern=|/bin/sh", false],
      ["net/../kernel/core_pattern", "|/bin/sh", false],
      ["net.ipv4/../../kernel/core_pattern", "|/bin/sh", false],
    ] as const) {
      const sysctls = { [name]: value };
      const made = cri.runPod({ linux: { ...pod.config.linux, sysctls } });
      const wasTaken = await made.then(
        () => true,
        (error: unknown) => !isFault(error),
      );
      assert.deepEqual([wasTaken, await readFile(file, "utf8")], [isTaken, pattern], name);
    }
  });
});
