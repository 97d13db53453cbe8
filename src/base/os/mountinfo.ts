// SPDX-License-Identifier: Apache-2.0

/** One line of /proc/<pid>/mountinfo (proc(5)). */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  readonly device: string;
  /** Folder of the file system that forms the mount's root. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Parses mountinfo text; a line that does not fit is skipped. */
export function parseMountinfo(text: string): MountEntry[] {
  return text.split("\n").flatMap((line) => parseMountLine(line) ?? []);
}

/** Parses one line of decoded text; undefined for a line that does not fit. */
export function parseMountLine(line: string): MountEntry | undefined {
  const fields = line.split(" ");
  const dash = fields.indexOf("-", 6);
  if (dash < 0 || fields.length < dash + 4) return undefined;
  const field = (at: number): string => unescape(fields[at] ?? "");
  return {
    id: Number(fields[0]),
    parentId: Number(fields[1]),
    device: field(2),
    root: field(3),
    mountPoint: field(4),
    options: field(5).split(","),
    propagation: fields.slice(6, dash),
    type: field(dash + 1),
    source: field(dash + 2),
    superOptions: field(dash + 3).split(","),
  };
}

/**
 * A field's own bytes: the kernel writes blanks, line ends and backslashes as octal. A character is a byte here, so
 * `\400` and more are no escapes.
 */
export function unescapeBytes(latin: string): string {
  if (!latin.includes("\\")) return latin;
  return latin.replaceAll(/\\([0-3][0-7]{2})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function unescape(field: string): string {
  if (!field.includes("\\")) return field;
  // The kernel escapes bytes, not characters: a path may hold any of them.
  const bytes = unescapeBytes(Buffer.from(field, "utf8").toString("latin1"));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
