// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { cgroupMounts, mountsHolding } from "../../../src/base/os/mount-table.ts";
import { type MountEntry, parseMountinfo } from "../../../src/base/os/mountinfo.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import type { FuzzTarget } from "../target.ts";

/**
 * Tables of mounts: what the kernel would write of a mount is read back as it was; what is asked of a table, which is
 * read in pieces, is what a search through the whole list finds; and any other text is survived.
 */
export const target: FuzzTarget = {
  name: "mount-table",
  parses: ["src/base/os/mountinfo.ts", "src/base/os/mount-table.ts"],
  dictionary: [" - ", "\\040", "\\134", "shared:1", "cgroup2", "/a", "\n", "/"],
  seeds: () => [
    Buffer.from(
      "\0" +
        "36 35 98:0 /mnt1 /a\\040b rw,noatime shared:1 - ext3 /dev/root rw\n37 1 0:5 / / rw - proc proc rw\n/a b/c",
    ),
    Buffer.from(Array.from({ length: 300 }, (_, at) => (at * 31) & 255)),
  ],
  run: async (input) => {
    const source = new ByteSource(input);
    if (source.bool()) await checkWritten(source);
    else await checkAny(source.rest());
  },
};

async function checkWritten(source: ByteSource): Promise<void> {
  // Many others in front push these over the end of a piece, which is 64 KiB.
  const others = source.below(4) === 0 ? otherMounts(64 * 1024 - source.below(1024)) : "";
  const entries = source.list(12, () => draw(source));
  const lines = entries.map((entry) => written(entry));
  assert.deepEqual(parseMountinfo(lines.join("\n")), entries);
  const wanted = [
    ...source.list(4, () => pathOf(source)),
    ...entries.slice(0, 2).map(({ mountPoint }) => `${mountPoint}/x`),
  ];
  const text = `${others}${lines.map((line) => `${line}\n`).join("")}`;
  await checkAsked(text, entries, wanted);
}

/** Lines that nobody asks for, of so many bytes together. */
function otherMounts(bytes: number): string {
  const line = (length: number): string =>
    `${"1 0 0:1 / /elsewhere rw - tmpfs tmpfs ".padEnd(length - 1, "x")}\n`;
  const count = Math.floor(bytes / 100) - 1;
  return line(100).repeat(count) + line(bytes - 100 * count);
}

/** What answers come must be those of the plain parser. */
async function checkAny(bytes: Buffer): Promise<void> {
  const text = bytes.toString("utf8");
  const entries = parseMountinfo(text);
  assert.ok(entries.length <= text.split("\n").length);
  // The last line may be no whole one.
  const whole = parseMountinfo(text.slice(0, text.lastIndexOf("\n") + 1));
  const wanted = [text.slice(text.lastIndexOf("\n") + 1), "/", "/a b/c"];
  // The kernel writes whole paths only.
  const isTable = entries.every(({ mountPoint }) => mountPoint.startsWith("/"));
  if (isTable && Buffer.from(text).equals(bytes))
    await checkAsked(
      bytes,
      whole,
      wanted.filter((path) => path.startsWith("/")),
    );
}

async function checkAsked(
  text: string | Buffer,
  entries: readonly MountEntry[],
  wanted: readonly string[],
): Promise<void> {
  const options = { file: `${scratchFolder("mount-table")}/mountinfo` };
  writeFileSync(options.file, text);
  const held = await mountsHolding(wanted, options);
  for (const path of wanted) {
    const holding = entries.filter(
      ({ mountPoint: point }) =>
        point === path || path.startsWith(point === "/" ? "/" : `${point}/`),
    );
    const longest = Math.max(...holding.map(({ mountPoint }) => mountPoint.length));
    assert.deepEqual(
      held.of(path),
      holding.findLast(({ mountPoint }) => mountPoint.length === longest),
      path,
    );
    assert.deepEqual(
      held.at(path),
      entries.findLast(({ mountPoint }) => mountPoint === path),
    );
  }
  const first = new Map<string, MountEntry>();
  for (const entry of entries)
    if (entry.type.startsWith("cgroup") && !first.has(entry.device)) first.set(entry.device, entry);
  assert.deepEqual(await cgroupMounts(options), [...first.values()]);
}

function draw(source: ByteSource): MountEntry {
  const words = (choices: readonly string[]): string[] => [
    source.pick(choices),
    ...source.list(2, () => source.pick(choices)),
  ];
  return {
    id: source.below(65_536),
    parentId: source.below(65_536),
    device: `${source.below(256)}:${source.below(256)}`,
    root: pathOf(source),
    mountPoint: pathOf(source),
    options: words(["rw", "ro", "nosuid"]),
    propagation: source.list(3, () =>
      source.pick(["shared:1", "master:2", "propagate_from:3", "unbindable"]),
    ),
    type: source.pick(["ext4", "cgroup", "cgroup2", "overlay", "fuse.x"]),
    source: source.pick(["/dev/a", "", "a b", "none\\", "-"]),
    superOptions: words(["rw", "memory", "cpu", "lowerdir=/a:/b c"]),
  };
}

/** As the kernel shows paths: from the root on, without empty parts. */
function pathOf(source: ByteSource): string {
  const parts = source.list(4, () => {
    const name = source.bool()
      ? source.pick(["a", "b b", "c\\d", "\n", "é", "-", "a-", "\\040"])
      : source.text(6);
    return name.replaceAll(/[/\0�]/g, "_") || "x";
  });
  return `/${parts.join("/")}`;
}

function written(entry: MountEntry): string {
  const {
    id,
    parentId,
    device,
    root,
    mountPoint,
    options,
    propagation,
    type,
    source,
    superOptions,
  } = entry;
  return [
    id,
    parentId,
    device,
    escaped(root),
    escaped(mountPoint),
    options.join(","),
    ...propagation,
    "-",
    type,
    escaped(source),
    escaped(superOptions.join(",")),
  ].join(" ");
}

function escaped(text: string): string {
  return text.replaceAll(
    /[ \t\n\\]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}
