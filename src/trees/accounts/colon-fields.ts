// SPDX-License-Identifier: Apache-2.0

const newline = 0x0a;
const colon = 0x3a;
const comma = 0x2c;

/** A field that is longer is no name or number that anybody looks for. */
const maxFieldBytes = 4096;

export interface FieldSink {
  /** A field that is read, one character a byte; "" for one that is too long. */
  field(column: number, text: string): void;
  /** The end of a line with its number of columns, of which those after the last one that is read are not counted. */
  line(columns: number): void;
}

export interface FieldsToRead {
  /** For each column, up to the last one that is read, whether it is. */
  readonly columns: readonly boolean[];
  /**
   * A column whose items have commas between them: each item is reported; those of another length may be left out.
   */
  readonly list?: { readonly column: number; readonly length: number };
}

/**
 * Cuts a file of lines and colons, as /etc/passwd is, into fields, in one pass over pieces of any size:
 * lines may be of any length, and no more than one field of them is kept. Space around a line does not
 * count; comments and empty lines are left out.
 */
export class ColonFields {
  readonly #sink: FieldSink;
  readonly #columns: readonly boolean[];
  readonly #listColumn: number;
  readonly #itemLength: number;
  #column = 0;
  #isComment = false;
  /** The start of a field that goes on in the next piece. */
  #begun = "";
  #isTooLong = false;

  constructor(sink: FieldSink, { columns, list }: FieldsToRead) {
    this.#sink = sink;
    this.#columns = columns;
    this.#listColumn = list?.column ?? -1;
    this.#itemLength = list?.length ?? 0;
  }

  push(piece: Buffer): void {
    let start = 0;
    for (let at = 0; at < piece.length; at += 1) {
      if (this.#isComment || this.#column >= this.#columns.length) {
        // The rest of the line is not read.
        const end = piece.indexOf(newline, at);
        at = end < 0 ? piece.length : end;
        start = at;
        if (end < 0) break;
      }
      const byte = piece[at];
      if (byte === newline) {
        this.#keep(piece, start, at);
        this.#endLine();
      } else if (byte === colon) {
        this.#keep(piece, start, at);
        this.#emit();
        this.#column += 1;
      } else if (byte === comma && this.#column === this.#listColumn) {
        const isOther = at - start !== this.#itemLength && this.#begun === "" && !this.#isTooLong;
        if (!isOther) {
          this.#keep(piece, start, at);
          this.#emit();
        }
      } else {
        continue;
      }
      start = at + 1;
    }
    this.#keep(piece, start, piece.length);
  }

  /** The end of the file, which may lack its last line's end. */
  end(): void {
    if (this.#column > 0 || this.#begun !== "") this.#endLine();
  }

  #keep(piece: Buffer, start: number, end: number): void {
    if (this.#isTooLong || start === end || this.#columns[this.#column] !== true) return;
    this.#isTooLong = this.#begun.length + end - start > maxFieldBytes;
    this.#begun = this.#isTooLong ? "" : this.#begun + piece.toString("latin1", start, end);
  }

  #emit(isLast = false): void {
    const text = trimmed(this.#begun, this.#column === 0, isLast);
    this.#begun = "";
    this.#isTooLong = false;
    if (this.#column === 0 && text.startsWith("#")) this.#isComment = true;
    if (!this.#isComment && this.#columns[this.#column] === true) {
      this.#sink.field(this.#column, text);
    }
  }

  #endLine(): void {
    this.#emit(true);
    if (!this.#isComment) this.#sink.line(this.#column + 1);
    this.#column = 0;
    this.#isComment = false;
  }
}

// Only ASCII's spaces: trim() would take bytes of longer characters for some.
function trimmed(text: string, atStart: boolean, atEnd: boolean): string {
  let [start, end] = [0, text.length];
  if (atStart) while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  if (atEnd) while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
