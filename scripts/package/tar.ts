// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import {
  type NewTarEntry,
  plainMember,
  tarEnd,
  tarHeader,
  tarPadding,
} from "../../src/images/tar/tar-writer.ts";
import type { PackedFile } from "./packed-file.ts";

/**
 * A tar of files, the same bytes for the same files whatever machine makes it: by name, all root's and of one time
 * (seconds since 1970), with the folders above them. Names begin with `./`, as dpkg wants them.
 */
export function tarOf(files: readonly PackedFile[], seconds: number): Buffer {
  const members = new Map<string, { entry: NewTarEntry; content: Uint8Array }>();
  const add = (
    entry: Pick<NewTarEntry, "type" | "name" | "mode"> & Partial<NewTarEntry>,
    content: Uint8Array = none,
  ): void => {
    const whole = { ...plainMember, size: content.length, mtime: { seconds, nanos: 0 }, ...entry };
    members.set(entry.name, { entry: whole, content });
  };
  add({ type: "directory", name: "./", mode: 0o755 });
  for (const file of files) {
    for (const folder of foldersAbove(file.path))
      add({ type: "directory", name: `./${folder}/`, mode: 0o755 });
    const name = `./${file.path}`;
    if (isLink(file.content))
      add({ type: "symlink", name, mode: 0o777, linkName: file.content.linkTo });
    else add({ type: "file", name, mode: file.mode ?? 0o644 }, contentOf(file));
  }
  const sorted = [...members.values()].sort((a, b) => (a.entry.name < b.entry.name ? -1 : 1));
  const parts = sorted.flatMap(({ entry, content }) => [
    tarHeader(entry, "gnu"),
    content,
    tarPadding(content.length),
  ]);
  return Buffer.concat([...parts, tarEnd]);
}

/** A file's bytes; none for a link. */
export function contentOf({ content }: PackedFile): Uint8Array {
  if (typeof content === "string") return Buffer.from(content);
  if (content instanceof Uint8Array) return content;
  return "from" in content ? readFileSync(content.from) : none;
}

/** Packs by zstd. One thread and Node's own library: the bytes are the same wherever this Node runs. */
export function zstd(bytes: Uint8Array, level: number): Promise<Buffer> {
  return compress(bytes, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
    pledgedSrcSize: bytes.length,
  });
}

const compress = promisify(zstdCompress);
const none = new Uint8Array();

function isLink(content: PackedFile["content"]): content is { linkTo: string } {
  return typeof content === "object" && "linkTo" in content;
}

function foldersAbove(file: string): string[] {
  const above = path.dirname(file);
  return above === "." ? [] : [...foldersAbove(above), above];
}
