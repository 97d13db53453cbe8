// SPDX-License-Identifier: Apache-2.0
// Which lines of src/ the tests have run, from the files that V8 leaves where NODE_V8_COVERAGE says. A
// line counts when code is left on it once the types are stripped; it is covered when any process ran it.
import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { removeFolderSync } from "../../src/base/remove-folder.ts";

/** Files with a smaller part of their lines covered are listed. */
const wanted = 0.8;

interface FileCoverage {
  /** From the project's folder. */
  readonly file: string;
  readonly lines: number;
  readonly covered: number;
}

interface V8Function {
  readonly ranges: readonly {
    readonly startOffset: number;
    readonly endOffset: number;
    readonly count: number;
  }[];
}

/** One script as one process ran it. */
interface V8Script {
  readonly url: string;
  readonly functions: readonly V8Function[];
}

/** What is started while it collects writes its coverage to a folder, which goes when it is disposed of. */
export class CoverageRun implements Disposable {
  readonly #folder: string;

  /** `build` is made when missing. */
  constructor(build: string) {
    mkdirSync(build, { recursive: true });
    this.#folder = mkdtempSync(path.join(build, "coverage-"));
  }

  /** Until what it answers is disposed of. */
  collect(): Disposable {
    const before = process.env["NODE_V8_COVERAGE"];
    process.env["NODE_V8_COVERAGE"] = this.#folder;
    return {
      [Symbol.dispose]: () => {
        if (before === undefined) delete process.env["NODE_V8_COVERAGE"];
        else process.env["NODE_V8_COVERAGE"] = before;
      },
    };
  }

  /** Of every file of `src` below `root` that is no test. */
  measure(root: string): readonly FileCoverage[] {
    const files = globSync("src/**/*.ts", { cwd: root })
      .filter((file) => !file.endsWith(".test.ts") && !file.endsWith(".gen.ts"))
      .toSorted();
    const sources = new Map(
      files.map((file) => {
        const name = path.join(root, file);
        return [pathToFileURL(name).href, new SourceLines(file, readFileSync(name, "utf8"))];
      }),
    );
    for (const name of readdirSync(this.#folder)) {
      for (const script of scriptsOf(path.join(this.#folder, name))) {
        sources.get(script.url)?.add(script);
      }
    }
    return [...sources.values()].map((source) => source.coverage());
  }

  [Symbol.dispose](): void {
    removeFolderSync(this.#folder);
  }
}

/** The total, and a line for each file that has too little. */
export function describeCoverage(all: readonly FileCoverage[]): string {
  const lines = all.reduce((sum, one) => sum + one.lines, 0);
  const covered = all.reduce((sum, one) => sum + one.covered, 0);
  const low = all
    .filter((one) => one.lines > 0 && one.covered / one.lines < wanted)
    .toSorted((a, b) => a.covered / a.lines - b.covered / b.lines);
  const rows = low.map((one) => `    ${percent(one)} ${one.file} (${one.lines} lines)\n`);
  const total = percent({ lines, covered }).trim();
  return `    ${total} of the ${lines} lines of src/; ${low.length} of ${all.length} files are below ${wanted * 100} %\n${rows.join("")}`;
}

function percent({ covered, lines }: Pick<FileCoverage, "covered" | "lines">): string {
  return `${Math.floor((100 * covered) / Math.max(lines, 1))} %`.padStart(5);
}

/** A process that was killed may have left half a file, which tells nothing. */
function scriptsOf(file: string): readonly V8Script[] {
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { result: V8Script[] }).result;
  } catch {
    return [];
  }
}

/** The lines of one file, and which of them some process has run. */
export class SourceLines {
  readonly #file: string;
  readonly #length: number;
  /** Where each line with code on it begins and ends, without the space around it. */
  readonly #lines: { readonly start: number; readonly end: number }[] = [];
  readonly #covered: Uint8Array;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#length = text.length;
    let offset = 0;
    for (const line of withoutTypes(text).split("\n")) {
      const code = line.trim();
      const start = offset + line.indexOf(code);
      if (/[\p{L}\p{N}]/u.test(code) && !/^(\/\/|\/?\*|import\b)/.test(code)) {
        this.#lines.push({ start, end: start + code.length });
      }
      offset += line.length + 1;
    }
    this.#covered = new Uint8Array(this.#lines.length);
  }

  add({ url, functions }: V8Script): void {
    // The module's own range spans the source, to which Node adds where it came from. Another length is
    // another source: one with the fuzzer's counters in it.
    const length = functions[0]?.ranges[0]?.endOffset ?? 0;
    const added = `\n\n//# sourceURL=${url}`.length;
    if (length !== this.#length && length !== this.#length + added) return;
    const ran = new Uint8Array(this.#lines.length).fill(1);
    // Outer ranges come before those within them.
    for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges)) {
      for (let at = this.#firstFrom(startOffset); at < ran.length; at += 1) {
        if ((this.#lines[at]?.end ?? Infinity) > endOffset) break;
        ran[at] = count > 0 ? 1 : 0;
      }
    }
    for (const [at, did] of ran.entries()) if (did === 1) this.#covered[at] = 1;
  }

  coverage(): FileCoverage {
    const covered = this.#covered.reduce((sum, one) => sum + one, 0);
    return { file: this.#file, lines: this.#lines.length, covered };
  }

  /** The first line that begins there or later. */
  #firstFrom(offset: number): number {
    let [low, high] = [0, this.#lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#lines[middle]?.start ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Stripped types leave space behind, so that all else stays where it was. */
function withoutTypes(text: string): string {
  const stripped = stripTypeScriptTypes(text);
  return stripped.length === text.length ? stripped : text;
}
