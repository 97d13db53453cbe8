// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants as fsConstants, readFileSync } from "node:fs";
import { getCompileCacheDir } from "node:module";
import path from "node:path";
import { constants, Script } from "node:vm";
import { crc32 } from "node:zlib";
import { writeFileAtomic } from "./atomic-file.ts";

/**
 * Of a module Node keeps what was compiled as it was loaded. Nearly all functions are compiled later, when they are first
 * called: a start would compile the same two thousand again and again, a quarter of its work. So the programs of a package
 * (scripts/package/kept-scripts.ts) are scripts that are run from here, and what is kept of them is all that has been
 * compiled once the daemon is up. It lies where Node keeps what it compiles, and is used under the same conditions: V8 looks at its own
 * version and flags, and we at the rest, for which it trusts what it is given.
 */

interface Running {
  readonly script: Script;
  readonly textCrc: number;
  /** Where its code is kept; undefined where nothing is. */
  readonly file: string | undefined;
  /** Of the code that it was run with; 0 for none. */
  readonly keptBytes: number;
}

/** The checksums of the text and of the code, which follows. */
const headerBytes = 8;
/** A start with pods runs more than one without, and one that has crashed pods more still. */
const worthFactor = 1.02;
const running: Running[] = [];

type Program = (
  module: { exports: object },
  require: (name: string) => unknown,
  importMeta: object,
) => void;

/**
 * Runs a script that stands in the file of that name beside a module, with that module's `import.meta` and the modules that
 * it asks for by name. Answers what it exports.
 */
export function runKept(
  name: string,
  meta: Pick<ImportMeta, "dirname">,
  beside: Readonly<Record<string, object>>,
): Readonly<Record<string, unknown>> {
  const filename = path.join(meta.dirname, name);
  const text = readFileSync(filename, "latin1"); // scripts/package writes ASCII only
  const textCrc = crc32(text);
  const file = placeFor(filename);
  const cachedData = file === undefined ? undefined : codeIn(file, textCrc);
  const script = new Script(text, {
    filename,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    ...(cachedData && { cachedData }),
  });
  const isUsed = cachedData !== undefined && script.cachedDataRejected === false;
  running.push({ script, textCrc, file, keptBytes: isUsed ? cachedData.length : 0 });
  const module = { exports: {} };
  const program = script.runInThisContext() as Program;
  program(module, (wanted) => beside[wanted] ?? process.getBuiltinModule(wanted), meta);
  return module.exports;
}

/** Whether of any of these scripts nothing is kept, and it could be. */
export function lacksKeptCode(): boolean {
  return running.some(({ file, keptBytes }) => {
    if (file === undefined || keptBytes > 0) return false;
    try {
      accessSync(path.dirname(file), fsConstants.W_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Writes down what has been compiled of all these scripts until now, where it is more than is kept. It is taken before this
 * returns: V8 refuses what it made under other flags. Rejects with system errors.
 */
export async function keepCode(): Promise<void> {
  const grown = running.flatMap(({ script, textCrc, file, keptBytes }) => {
    if (file === undefined) return [];
    const code = script.createCachedData();
    return code.length > keptBytes * worthFactor ? [{ file, textCrc, code }] : [];
  });
  for (const { file, textCrc, code } of grown) {
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32LE(textCrc, 0);
    header.writeUInt32LE(crc32(code), 4);
    await writeFileAtomic(file, Buffer.concat([header, code]));
  }
}

/** Several installations may keep theirs in one folder. */
function placeFor(filename: string): string | undefined {
  const folder = getCompileCacheDir();
  if (folder === undefined) return undefined;
  const name = crc32(filename).toString(16).padStart(8, "0");
  return path.join(folder, `berth-${name}.code`);
}

/** The code kept there; undefined where there is none, it is another text's, or it is damaged. */
function codeIn(file: string, textCrc: number): Buffer | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return undefined;
  }
  if (bytes.length <= headerBytes || bytes.readUInt32LE(0) !== textCrc) return undefined;
  const code = bytes.subarray(headerBytes);
  return bytes.readUInt32LE(4) === crc32(code) ? code : undefined;
}
