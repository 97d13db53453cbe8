// SPDX-License-Identifier: Apache-2.0
import { ColonFields } from "./colon-fields.ts";

export interface PasswdEntry {
  /** One character a byte. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * What is looked for in a file of users or groups. Names have one character a byte (`nameBytes`). Plain
 * values, since another thread may do the search.
 */
export type AccountQuery =
  | { readonly kind: "uid"; readonly uid: number }
  | { readonly kind: "user"; readonly name: string }
  /** The id of the group `name`, and the groups of the user `member`. */
  | {
      readonly kind: "groups";
      readonly name: string | undefined;
      readonly member: string | undefined;
    };

export interface FoundAccounts {
  /** The first user that matches. */
  readonly user: PasswdEntry | undefined;
  /** The id of the first group of the wanted name. */
  readonly gid: number | undefined;
  /** The groups that list the member; `maxGroups` + 1 of them when there are more. */
  readonly memberOf: readonly number[];
}

/** Ids are 32 bits in the kernel; CRI keeps to the lower half. */
export const maxId = 2 ** 31 - 1;
/** NGROUPS_MAX: a process can have no more. */
export const maxGroups = 65_536;

/**
 * Looks through /etc/passwd or /etc/group once, in pieces, whatever they hold: what does not parse is
 * skipped, and neither a long line nor a long file is ever kept.
 */
export class AccountSearch {
  readonly #query: AccountQuery;
  readonly #fields: ColonFields;
  #name = "";
  #uid = "";
  #gid = "";
  #isMember = false;
  #user: PasswdEntry | undefined;
  #groupId: number | undefined;
  readonly #memberOf = new Set<number>();

  constructor(query: AccountQuery) {
    this.#query = query;
    this.#fields =
      query.kind === "groups"
        ? new ColonFields(
            {
              field: (column, text) => this.#groupField(column, text, query.member),
              line: (columns) => this.#groupLine(columns, query.name),
            },
            {
              columns: [true, false, true, query.member !== undefined],
              list: { column: 3, length: query.member?.length ?? 0 },
            },
          )
        : new ColonFields(
            {
              field: (column, text) => this.#userField(column, text),
              line: (columns) => this.#userLine(columns),
            },
            { columns: [true, false, true, true] },
          );
  }

  /** False once nothing more can be found. */
  push(piece: Buffer): boolean {
    this.#fields.push(piece);
    return this.#user === undefined && this.#memberOf.size <= maxGroups;
  }

  end(): FoundAccounts {
    this.#fields.end();
    return { user: this.#user, gid: this.#groupId, memberOf: [...this.#memberOf] };
  }

  #userField(column: number, text: string): void {
    if (column === 0) this.#name = text;
    else if (column === 2) this.#uid = text;
    else if (column === 3) this.#gid = text;
  }

  #userLine(columns: number): void {
    const query = this.#query;
    if (columns < 4 || this.#name === "" || this.#user !== undefined) return;
    if (query.kind === "user" && query.name !== this.#name) return;
    const [uid, gid] = [parseId(this.#uid), parseId(this.#gid)];
    if (uid === undefined || gid === undefined) return;
    if (query.kind === "uid" && query.uid !== uid) return;
    this.#user = { name: this.#name, uid, gid };
  }

  #groupField(column: number, text: string, member: string | undefined): void {
    if (column === 0) {
      this.#name = text;
      this.#isMember = false;
    } else if (column === 2) this.#gid = text;
    else if (column === 3 && text !== "" && text === member) this.#isMember = true;
  }

  #groupLine(columns: number, wanted: string | undefined): void {
    if (columns < 3 || this.#name === "") return;
    if (!this.#isMember && wanted !== this.#name) return;
    const gid = parseId(this.#gid);
    if (gid === undefined) return;
    if (this.#isMember && this.#memberOf.size <= maxGroups) this.#memberOf.add(gid);
    if (wanted === this.#name) this.#groupId ??= gid;
  }
}

/** Searches a whole file at once; undefined is a file that is not there. */
export function searchAccounts(query: AccountQuery, file: Uint8Array | undefined): FoundAccounts {
  const search = new AccountSearch(query);
  if (file !== undefined) search.push(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
  return search.end();
}

/** A decimal id within range, else undefined. */
export function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= maxId ? id : undefined;
}

/** A name as files have it: its bytes, one character each. */
export function nameBytes(name: string): string {
  return Buffer.from(name, "utf8").toString("latin1");
}
