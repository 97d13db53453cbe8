// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { PackedFile } from "./packed-file.ts";
import { contentOf, tarOf, zstd } from "./tar.ts";

/** What a Debian package says of itself, and does when it is installed and removed. */
export interface DebControl {
  /** The fields of its control file, in the order in which they are written; deb(5), deb-control(5). */
  readonly fields: Readonly<Record<string, string>>;
  /** Maintainer scripts by name: postinst, prerm, postrm. */
  readonly scripts: Readonly<Record<string, string>>;
}

/**
 * A Debian package: an ar archive of a version, a control archive and `data`, the packed tar of `files`. Files of
 * /etc are configuration, which an upgrade leaves as the operator wrote it. `seconds` is the time of all, since 1970.
 */
export async function deb(
  control: DebControl,
  files: readonly PackedFile[],
  data: Buffer,
  seconds: number,
): Promise<Buffer> {
  const kib = files.reduce((sum, file) => sum + Math.ceil(contentOf(file).length / 1024), 0);
  const fields = { ...control.fields, "Installed-Size": String(kib) };
  const conffiles = files.filter((file) => file.path.startsWith("etc/"));
  const parts: PackedFile[] = [
    {
      path: "control",
      content: Object.entries(fields)
        .map(([name, text]) => `${name}: ${text}\n`)
        .join(""),
    },
    { path: "conffiles", content: conffiles.map((file) => `/${file.path}\n`).join("") },
    { path: "md5sums", content: files.filter(isRegular).map(md5Line).join("") },
    ...Object.entries(control.scripts).map(([path, content]) => ({ path, content, mode: 0o755 })),
  ];
  return ar(
    [
      ["debian-binary", Buffer.from("2.0\n")],
      ["control.tar.zst", await zstd(tarOf(parts, seconds), 9)],
      ["data.tar.zst", data],
    ],
    seconds,
  );
}

/** An ar archive with root's files, as dpkg reads it: ar(5). */
function ar(members: readonly (readonly [string, Buffer])[], seconds: number): Buffer {
  const parts = members.flatMap(([name, content]) => {
    const header = [
      name.padEnd(16),
      String(seconds).padEnd(12),
      "0".padEnd(6),
      "0".padEnd(6),
      "100644".padEnd(8),
      String(content.length).padEnd(10),
      "`\n",
    ].join("");
    return [
      Buffer.from(header, "latin1"),
      content,
      Buffer.from(content.length % 2 === 0 ? "" : "\n"),
    ];
  });
  return Buffer.concat([Buffer.from("!<arch>\n"), ...parts]);
}

function isRegular(file: PackedFile): boolean {
  return !(typeof file.content === "object" && "linkTo" in file.content);
}

function md5Line(file: PackedFile): string {
  return `${createHash("md5").update(contentOf(file)).digest("hex")}  ${file.path}\n`;
}
