// SPDX-License-Identifier: Apache-2.0
import { StringDecoder } from "node:string_decoder";
import type { CliIo } from "../cli-io.ts";

export interface LogReaderOptions {
  /** How many of the lines that are there at first are shown; undefined for all. */
  readonly tail: number | undefined;
  /** Milliseconds of the epoch; earlier lines are left out. */
  readonly sinceMs: number | undefined;
  readonly timestamps: boolean;
}

interface Line {
  readonly stream: string;
  readonly time: string;
  /** A part of a line has no line feed of its own. */
  readonly text: string;
}

/** Turns the bytes of a CRI log file back into a container's output, on our own two streams. */
export class LogReader {
  readonly #io: Pick<CliIo, "out" | "error">;
  readonly #options: LogReaderOptions;
  readonly #partial = new Set<string>();
  /** A line in parts may be cut within a character. */
  readonly #decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
  /** The last lines, until all that was there at first has been read. */
  #kept: Line[] | undefined;
  #rest: Buffer = Buffer.alloc(0);

  constructor(io: Pick<CliIo, "out" | "error">, options: LogReaderOptions) {
    this.#io = io;
    this.#options = options;
    this.#kept = options.tail === undefined ? undefined : [];
  }

  push(bytes: Buffer): void {
    const all = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    let from = 0;
    for (let at = all.indexOf(0x0a); at !== -1; at = all.indexOf(0x0a, from)) {
      this.#take(all.toString("latin1", from, at));
      from = at + 1;
    }
    this.#rest = Buffer.from(all.subarray(from));
  }

  /** Call it when all that was there at first has been pushed. */
  caughtUp(): void {
    const lines = this.#kept === undefined ? [] : lastLines(this.#kept, this.#options.tail ?? 0);
    this.#kept = undefined;
    for (const line of lines) this.#print(line);
  }

  /**
   * `TIME STREAM F|P[:…] CONTENT`, a byte a character; P marks a line that goes on. Anything else is printed as it
   * is.
   */
  #take(raw: string): void {
    const match = /^(\S+) (stdout|stderr) (\S+) ?([\s\S]*)$/.exec(raw);
    if (!match) {
      const text = Buffer.from(`${raw}\n`, "latin1").toString();
      return this.#keep({ stream: "stdout", time: "", text });
    }
    const [, time = "", name = "", tags = "", content = ""] = match;
    const stream = name === "stderr" ? "stderr" : "stdout";
    const { sinceMs } = this.#options;
    if (sinceMs !== undefined && Date.parse(time) < sinceMs) return;
    const decoder = this.#decoders[stream];
    const bytes = Buffer.from(content, "latin1");
    const text = tags.split(":")[0] === "P" ? decoder.write(bytes) : `${decoder.end(bytes)}\n`;
    this.#keep({ stream, time, text });
  }

  #keep(line: Line): void {
    if (!this.#kept) return this.#print(line);
    this.#kept.push(line);
    const tail = this.#options.tail ?? 0;
    if (this.#kept.length > tail * 2 + 1000) this.#kept = lastLines(this.#kept, tail);
  }

  #print({ stream, time, text }: Line): void {
    const begins = !this.#partial.has(stream);
    if (text.endsWith("\n")) this.#partial.delete(stream);
    else this.#partial.add(stream);
    const prefix = this.#options.timestamps && begins && time !== "" ? `${time} ` : "";
    (stream === "stderr" ? this.#io.error : this.#io.out)(prefix + text);
  }
}

function lastLines(lines: readonly Line[], count: number): Line[] {
  let from = lines.length;
  let whole = 0;
  while (from > 0) {
    if (lines[from - 1]?.text.endsWith("\n")) whole += 1;
    if (whole > count) break;
    from -= 1;
  }
  return lines.slice(from);
}
