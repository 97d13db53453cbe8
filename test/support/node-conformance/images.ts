// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Box } from "../cluster/box.ts";
import { findProgram } from "../lacking.ts";
import { fileBytes, type ImageRecipe, type LayerEntry, writeOciLayout } from "../oci-image.ts";
import { must } from "../run.ts";
import { shellLayer } from "../test-images.ts";

/** Programs of Kubernetes' images that are built from its module. */
export interface ImagePrograms {
  readonly agnhost: string;
  readonly nnp: string;
}

/** What Debian's busybox lacks: the time with milliseconds, which Kubernetes' tests of containers' order ask it for. */
const nmeter: LayerEntry = {
  path: "bin/nmeter",
  content: `#!/bin/bash
now=$EPOCHREALTIME
printf '%(%T)T.%s\\n' "\${now%.*}" "\${now#*.}" | cut -c1-12
`,
  mode: 0o755,
};
const environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

/**
 * Kubernetes' test images by its own names, made anew from Debian's busybox and programs of its module, pushed to a registry in
 * a box. What they have from Alpine or nginx they do not have here.
 */
export async function pushE2eImages(
  box: Box,
  settings: { readonly folder: string; readonly host: string; readonly programs: ImagePrograms },
): Promise<readonly string[]> {
  const { folder, host, programs } = settings;
  const shell = [...(await shellLayer()), ...(await withLibraries("bash", "bin/bash")), nmeter];
  const agnhost = await fileBytes(programs.agnhost);
  const users: LayerEntry[] = [
    {
      path: "etc/passwd",
      content: "root:x:0:0:root:/root:/bin/sh\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n",
    },
    {
      path: "etc/group",
      content:
        "root:x:0:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n",
    },
  ];
  const ofAgnhost: ImageRecipe = {
    config: { Env: environment, Entrypoint: ["/agnhost"], Cmd: ["pause"] },
    layers: [
      shell,
      [
        ...users,
        { path: "agnhost", content: agnhost, mode: 0o755 },
        { path: "agnhost-2", symlink: "agnhost" },
        { path: "uploads", mode: 0o755 },
        ...(await withLibraries("curl", "usr/bin/curl")),
      ],
    ],
  };
  const busybox: ImageRecipe = { config: { Env: environment, Cmd: ["sh"] }, layers: [shell] };
  const nonewprivs: ImageRecipe = {
    config: { Env: environment, Cmd: ["nnp"] },
    layers: [
      shell,
      [
        { path: "usr" },
        { path: "usr/local" },
        { path: "usr/local/bin" },
        { path: "usr/local/bin/nnp", content: await fileBytes(programs.nnp), mode: 0o6755 },
      ],
    ],
  };
  const nonroot: ImageRecipe = {
    config: { Env: environment, User: "1234", Cmd: ["sh"] },
    layers: [shell],
  };
  const web: ImageRecipe = {
    config: { Env: environment, Cmd: ["/agnhost", "netexec", "--http-port=80"] },
    layers: ofAgnhost.layers,
  };
  const pause: ImageRecipe = {
    config: { Env: environment, Entrypoint: ["/agnhost", "pause"] },
    layers: ofAgnhost.layers,
  };
  const recipes: Readonly<Record<string, ImageRecipe>> = {
    agnhost: ofAgnhost,
    busybox,
    nonewprivs,
    nonroot,
    nginx: web,
    pause,
  };
  const pushed: string[] = [];
  for (const [image, tags] of Object.entries(await namesOfImages())) {
    const recipe = recipes[image.split("/").at(-1) ?? ""];
    if (recipe === undefined) continue;
    const layout = path.join(folder, image.replaceAll("/", "-"));
    await writeOciLayout(layout, "1", recipe);
    for (const tag of tags) {
      const reference = `docker://${host}/${image}:${tag}`;
      const flags = "copy --quiet --insecure-policy --dest-tls-verify=false".split(" ");
      await box.must("skopeo", [...flags, `oci:${layout}:1`, reference]);
      pushed.push(`${image}:${tag}`);
    }
  }
  return pushed;
}

/** A program of this machine, which is linked dynamically, with what it is linked to. */
async function withLibraries(program: string, at: string): Promise<LayerEntry[]> {
  const file = findProgram(program);
  if (file === undefined) throw new Error(`${program} is missing`);
  const linked = (await must("ldd", [file])).split("\n").flatMap((line) => {
    const [, library] = /(?:=> |^\s*)(\/\S+) \(0x/.exec(line) ?? [];
    return library === undefined ? [] : [library];
  });
  const entries: LayerEntry[] = [{ path: at, content: await fileBytes(file), mode: 0o755 }];
  const folders = new Set<string>();
  for (const library of linked) {
    let folder = path.dirname(library).slice(1);
    const above: string[] = [];
    for (; folder !== "."; folder = path.dirname(folder)) above.unshift(folder);
    for (const one of above.filter((each) => !folders.has(each))) {
      folders.add(one);
      entries.push({ path: one });
    }
    entries.push({ path: library.slice(1), content: await fileBytes(library), mode: 0o755 });
  }
  return entries;
}

/** As Kubernetes 1.37.2 has them in test/utils/image/manifest.go; a new version brings others. */
async function namesOfImages(): Promise<Readonly<Record<string, readonly string[]>>> {
  const file = path.join(import.meta.dirname, "images.json");
  return JSON.parse(await readFile(file, "utf8")) as Record<string, readonly string[]>;
}
