// SPDX-License-Identifier: Apache-2.0

const foreign = /[^A-Za-z0-9+/_-]+/g;

/** Decodes base64 that comes cut anywhere. What is no base64, padding too, is skipped before it is cut in fours. */
export class Base64Pieces {
  #rest = "";

  /** `last` with the end of a message; the next piece begins another. */
  decode(piece: Buffer, last: boolean): Buffer {
    const text = this.#rest + piece.toString("latin1").replace(foreign, "");
    const whole = last ? text.length : text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    return Buffer.from(text.slice(0, whole), "base64");
  }
}
