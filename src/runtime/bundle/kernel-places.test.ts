// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { FileType, makeNode } from "../../base/os/node-files.ts";
import { checkKernelPlaces } from "./kernel-places.ts";

const needsRoot = { skip: process.getuid?.() === 0 ? false : "needs root" };

/** What each layer has at its root, topmost first: a folder, a file, a link, or overlayfs' mark of a removal. */
const cases: readonly {
  readonly name: string;
  readonly layers: readonly Readonly<Record<string, "folder" | "file" | "link" | "whiteout">>[];
  readonly refused?: RegExp;
}[] = [
  { name: "folders", layers: [{ dev: "folder" }, { proc: "folder", sys: "folder" }] },
  { name: "nothing at all", layers: [{}, {}] },
  { name: "a link for /dev", layers: [{}, { dev: "link" }], refused: /\/dev .* symbolic link$/ },
  { name: "a link for /proc", layers: [{ proc: "link" }], refused: /\/proc .* symbolic link$/ },
  { name: "a link for /sys", layers: [{ sys: "link" }], refused: /\/sys .* symbolic link$/ },
  { name: "a file for /dev", layers: [{ dev: "file" }], refused: /\/dev .* is no folder$/ },
  {
    name: "a link above a folder",
    layers: [{ dev: "link" }, { dev: "folder" }],
    refused: /\/dev .* symbolic link$/,
  },
  { name: "a link below a folder", layers: [{ dev: "folder" }, { dev: "link" }] },
  { name: "a link that is removed above", layers: [{ dev: "whiteout" }, { dev: "link" }] },
];

for (const { name, layers, refused } of cases) {
  test(
    `a root file system with ${name} is ${refused ? "refused" : "taken"}`,
    needsRoot,
    async () => {
      await using place = await scratch();
      const folders: string[] = [];
      for (const [index, entries] of layers.entries()) {
        const folder = await place.folder(`layer-${index}`);
        folders.push(folder);
        for (const [entry, kind] of Object.entries(entries)) {
          const file = path.join(folder, entry);
          if (kind === "folder") await mkdir(file);
          else if (kind === "file") await writeFile(file, "");
          else if (kind === "link") await symlink("/etc", file);
          else makeNode(file, FileType.character, 0, 0);
        }
      }
      const [upper = "", ...lowers] = folders;
      const overlay = {
        type: "overlay",
        source: "overlay",
        options: ["index=off", `upperdir=${upper}`, `lowerdir=${lowers.join(":")}`],
      };
      const view = { type: "overlay", options: [`lowerdir=${folders.join(":")}`] };
      const bind = { type: "bind", source: upper, options: ["rbind"] };
      for (const mount of [overlay, view, ...(lowers.length === 0 ? [bind] : [])]) {
        const checked = checkKernelPlaces("c1", [mount]);
        if (refused === undefined) await checked;
        else await assert.rejects(checked, { code: "FAILED_PRECONDITION", message: refused });
      }
    },
  );
}
