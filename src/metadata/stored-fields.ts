// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../base/errors.ts";

/**
 * The fields of a row as it was stored. A row that is JSON but not what was written (a disk that lied, another
 * program's hand) is found out here and set aside; later it would fail whatever lists it. All throw DATA_LOSS, naming the
 * field.
 */
export class StoredFields {
  readonly #what: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  /** `what` is how messages call the row: "lease". */
  constructor(what: string, value: unknown) {
    this.#what = what;
    if (!isObject(value)) throw this.#damaged("is no object");
    this.#fields = value;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== "string") throw this.#damaged(`${name} is no text`);
    return value;
  }

  oneOf<K extends string>(name: string, kinds: readonly K[]): K {
    const kind = kinds.find((known) => known === this.#fields[name]);
    if (kind === undefined) throw this.#damaged(`${name} is none of ${kinds.join(", ")}`);
    return kind;
  }

  /** Not negative. */
  integer(name: string): number {
    const value = this.#fields[name];
    if (!isInteger(value)) throw this.#damaged(`${name} is no whole number`);
    return value;
  }

  integers(name: string): number[] {
    const value = this.#fields[name];
    if (!Array.isArray(value) || !value.every(isInteger))
      throw this.#damaged(`${name} are no whole numbers`);
    return value;
  }

  /** A number that is stored as decimal text. */
  decimal(name: string): bigint {
    const text = this.text(name);
    if (!/^-?\d{1,40}$/.test(text)) throw this.#damaged(`${name} is no decimal number`);
    return BigInt(text);
  }

  textMap(name: string): Record<string, string> {
    const value = this.#fields[name];
    if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string"))
      throw this.#damaged(`${name} is no map of texts`);
    return value as Record<string, string>;
  }

  textList(name: string): string[] {
    const value = this.#fields[name];
    if (!Array.isArray(value) || !value.every((text) => typeof text === "string"))
      throw this.#damaged(`${name} is no list of texts`);
    return value;
  }

  /** A field that is an object itself. */
  fields(name: string): StoredFields {
    return new StoredFields(`${this.#what}'s ${name}`, this.#fields[name]);
  }

  /** A field that is a list of objects. */
  list(name: string): StoredFields[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw this.#damaged(`${name} is no list`);
    return value.map((one) => new StoredFields(`${this.#what}'s ${name}`, one));
  }

  #damaged(how: string): RuntimeFault {
    return fault("DATA_LOSS", `${this.#what} record is damaged: ${how}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
