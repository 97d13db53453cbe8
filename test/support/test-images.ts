// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { findProgram } from "./lacking.ts";
import { fileBytes, type ImageRecipe, type LayerEntry, writeOciLayout } from "./oci-image.ts";
import type { Registry } from "./registry.ts";
import { must } from "./run.ts";
import type { Testbed } from "./testbed.ts";

const environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

const passwd = "root:x:0:0:root:/root:/bin/sh\n";

/** What the tests' images hold, by name. */
export type TestImageName = "shell" | "worker" | "failing" | "idle";

/** A test image in a registry. */
export interface TestImage {
  /** `127.0.0.1:PORT/shell:1`. */
  readonly reference: string;
  /** The config's digest. */
  readonly id: string;
}

export type TestImages = Readonly<Record<TestImageName, TestImage>>;

/**
 * Makes the tests' images from the host's static busybox and pushes them.
 * - `shell`: a plain shell, root, PATH set.
 * - `worker`: user 1000 of group 2000 by name, a volume /data, a working directory, an entry point
 *   with arguments, StopSignal SIGUSR1.
 * - `idle`: sleeps; another runtime's sandbox image.
 * - `failing`: says why on stderr and exits with 7.
 */
export async function pushTestImages(
  registry: Pick<Registry, "host">,
  folder: string,
): Promise<TestImages> {
  const base = await shellLayer();
  const recipes: Record<TestImageName, ImageRecipe> = {
    shell: { config: { Env: environment, Cmd: ["sh"] }, layers: [base] },
    idle: {
      config: { Env: environment, Entrypoint: ["/bin/sleep", "2147483"] },
      layers: [base],
    },
    worker: {
      config: {
        Env: [...environment, "ROLE=worker"],
        User: "worker",
        WorkingDir: "/home/worker",
        Entrypoint: ["/bin/sh", "-c"],
        Cmd: ["id; pwd; echo role=$ROLE; exec sleep 1000"],
        Volumes: { "/data": {} },
        StopSignal: "SIGUSR1",
        Labels: { "test.berth/kind": "worker" },
      },
      layers: [base, workerLayer],
    },
    failing: {
      config: { Env: environment, Cmd: ["sh", "-c", "echo broken >&2; exit 7"] },
      layers: [base],
    },
  };
  const makes = Object.entries(recipes).map(
    async ([name, recipe]): Promise<[string, TestImage]> => {
      const layout = path.join(folder, name);
      const id = await writeOciLayout(layout, "1", recipe);
      const reference = `${registry.host}/${name}:1`;
      await pushLayout(layout, "1", reference);
      return [name, { reference, id }];
    },
  );
  return Object.fromEntries(await Promise.all(makes)) as unknown as TestImages;
}

/** Makes an image of a recipe, pushes and pulls it; answers its name. */
export async function pullRecipe(
  { registry, folder, cri }: Pick<Testbed, "registry" | "folder" | "cri">,
  name: string,
  recipe: ImageRecipe,
): Promise<string> {
  const layout = path.join(folder, `layout-${name}`);
  await writeOciLayout(layout, "1", recipe);
  const reference = `${registry.host}/${name}:1`;
  await pushLayout(layout, "1", reference);
  await cri.images.PullImage({ image: { image: reference } });
  return reference;
}

/** Copies a layout's image to a plain-http registry with skopeo. */
export async function pushLayout(layout: string, tag: string, reference: string): Promise<void> {
  await must("skopeo", [
    "copy",
    "--quiet",
    "--insecure-policy",
    "--dest-tls-verify=false",
    `oci:${layout}:${tag}`,
    `docker://${reference}`,
  ]);
}

const workerLayer: readonly LayerEntry[] = [
  { path: "etc/passwd", content: `${passwd}worker:x:1000:2000:worker:/home/worker:/bin/sh\n` },
  { path: "etc/group", content: "root:x:0:\nworkers:x:2000:\nextra:x:3000:worker\n" },
  { path: "home/worker", uid: 1000, gid: 2000 },
];

/** Busybox with all its names, users and a few folders. */
export async function shellLayer(): Promise<LayerEntry[]> {
  const busybox = findProgram("busybox");
  if (busybox === undefined) throw new Error("busybox is missing");
  const applets = (await must(busybox, ["--list"])).trim().split("\n");
  return [
    { path: "bin" },
    { path: "bin/busybox", content: await fileBytes(busybox), mode: 0o755 },
    ...applets
      .filter((name) => name !== "busybox")
      .map((name) => ({ path: `bin/${name}`, symlink: "busybox" })),
    { path: "etc" },
    { path: "etc/passwd", content: passwd },
    { path: "etc/group", content: "root:x:0:\n" },
    { path: "root", mode: 0o700 },
    { path: "tmp", mode: 0o1777 },
    { path: "var" },
    { path: "home" },
  ];
}
