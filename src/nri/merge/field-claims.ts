// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";
import type { FieldOwners } from "../messages.ts";
import { type FieldName, fieldNumbers } from "./fields.ts";

interface Claim {
  readonly field: FieldName;
  /** Undefined for a field that has one value. */
  readonly key: string | undefined;
  /** `10-name`, or several with commas between them, of hooks. */
  readonly plugin: string;
  /**
   * `freed`: the plugin has taken away what another one had set, and it alone may set it anew. `removed`: it has taken away
   * what no plugin had set, and whoever comes later may set it.
   */
  readonly state: "set" | "freed" | "removed";
}

/** Who has set which field of one container. Each field, or key of a field, has one owner. */
export class FieldClaims {
  readonly #claims: Map<string, Claim>;

  constructor(claims: ReadonlyMap<string, Claim> = new Map()) {
    this.#claims = new Map(claims);
  }

  /** What is claimed in the copy is not claimed here. */
  copy(): FieldClaims {
    return new FieldClaims(this.#claims);
  }

  get isEmpty(): boolean {
    return this.#claims.size === 0;
  }

  /** FAILED_PRECONDITION when it has an owner, were it the plugin itself. */
  claim(plugin: string, field: FieldName, key?: string): void {
    const other = this.#claims.get(place(field, key));
    if (other !== undefined && isHeld(other, plugin)) throw conflict(plugin, other);
    this.#put({ field, key, plugin, state: "set" });
  }

  /** Takes the claim of whoever has it: only the plugin may set it from now on. */
  free(plugin: string, field: FieldName, key?: string): void {
    this.#put({ field, key, plugin, state: "freed" });
  }

  /** Of a key that is removed: frees it where a plugin had set it, and else only tells who has removed it. */
  remove(plugin: string, field: FieldName, key: string): void {
    const other = this.#claims.get(place(field, key));
    const isOwned = other !== undefined && other.state !== "removed";
    this.#put({ field, key, plugin, state: isOwned ? "freed" : "removed" });
  }

  /** For what adds to what others have added: one more owner. */
  share(plugin: string, field: FieldName): void {
    const others = this.#claims.get(place(field, undefined));
    const all = others === undefined ? plugin : `${others.plugin},${plugin}`;
    this.#put({ field, key: undefined, plugin: all, state: "set" });
  }

  /** Who has set or removed it; undefined when nobody has. */
  ownerOf(field: FieldName, key?: string): string | undefined {
    return this.#claims.get(place(field, key))?.plugin;
  }

  /** As NRI tells it: what is removed has "-" before its plugin's name. */
  message(): FieldOwners {
    const simple: [string, string][] = [];
    const compound = new Map<string, [string, string][]>();
    for (const { field, key, plugin, state } of this.#claims.values()) {
      const number = String(fieldNumbers[field]);
      const owner = state === "set" ? plugin : `-${plugin}`;
      if (key === undefined) simple.push([number, owner]);
      else listOf(compound, number).push([key, owner]);
    }
    return {
      simple: Object.fromEntries(simple),
      compound: Object.fromEntries(
        [...compound].map(([number, owners]) => [number, { owners: Object.fromEntries(owners) }]),
      ),
    };
  }

  #put(claim: Claim): void {
    this.#claims.set(place(claim.field, claim.key), claim);
  }
}

function place(field: FieldName, key: string | undefined): string {
  return key === undefined ? field : `${field} ${key}`;
}

function isHeld({ plugin: owner, state }: Claim, plugin: string): boolean {
  if (state === "set") return true;
  return state === "freed" && owner !== plugin;
}

/** In the words of the NRI module, which plugins' authors look for. */
function conflict(plugin: string, { plugin: other, field, key }: Claim): Error {
  const what = key === undefined ? field : `${field} ${shortened(key, 256)}`;
  return fault(
    "FAILED_PRECONDITION",
    `plugins ${JSON.stringify(plugin)} and ${JSON.stringify(other)} both tried to set ${what}`,
  );
}

function listOf<T>(lists: Map<string, T[]>, key: string): T[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}
