// SPDX-License-Identifier: Apache-2.0
import type { Kind } from "./kinds.ts";

/**
 * What a changed key needs: the daemon takes it up when it reloads, or only when it starts.
 *
 * What needs a restart: what records, sockets and files of living pods lie below (`root`, `state`,
 * `grpc.address`, `cni.cache_dir`), what clients are connected to or shown for good (`streaming.address`,
 * `cri.sandbox_image`), and what only the start itself reads (`timeouts.shim_load`). Parts of the daemon
 * that are made once get to see only these (StartConfig), so that no key is said to reload and is read
 * at the start alone.
 */
export type Decision = "reload" | "restart";

/**
 * One key of the configuration: all that is said of it. The types of Config and StartConfig, the schema
 * of the file, the defaults, the writer, docs/configuration.md and what a reload does come from this.
 */
export interface Key<T, D extends Decision = Decision> {
  /** In the file, snake_case; in Config it has the name of its property in `Table.keys`. */
  readonly name: string;
  readonly kind: Kind<T>;
  /** As Config has it: milliseconds, bytes. */
  readonly default: T;
  readonly change: D;
  /** For the reference and `berthd config default`. */
  readonly doc: string;
}

export type Keys = Readonly<Record<string, Key<unknown>>>;

/** One table of the file, `[grpc]`; its name is its property in `tables`. */
export interface Table<K extends Keys = Keys, N extends Named | undefined = Named | undefined> {
  readonly doc: string;
  readonly keys: K;
  readonly named?: N;
  readonly retired?: readonly Retired[];
}

/** Tables of free names inside a table, `[runtime.handlers.NAME]`. */
export interface Named {
  readonly name: string;
  /** What a NAME is, for messages. */
  readonly noun: string;
  readonly doc: string;
  /** What a table that comes or goes needs; its keys need the same. */
  readonly change: Decision;
  readonly keys: Keys;
  /** The tables that are there without a file, with nothing set in them. */
  readonly present: readonly string[];
  /** Property that takes the keys which are not among `keys`; without it they are errors. */
  readonly rest?: string;
}

/** A key that nothing reads any more. Files may still have it, with the values it took; that is a warning. */
export interface Retired {
  readonly name: string;
  readonly kind: Kind<unknown>;
  /** What holds instead: a clause that ends the warning. */
  readonly instead: string;
}

export function key<T, const D extends Decision>(
  declared: Omit<Key<T, D>, "default"> & { readonly default: NoInfer<T> },
): Key<T, D> {
  return declared;
}

export function table<K extends Keys, const N extends Named | undefined = undefined>(
  declared: Table<K, N>,
): Table<K, N> {
  return declared;
}

type ValueOf<K> = K extends Key<infer T> ? T : never;

/** The values of keys, by property. */
export type Values<K extends Keys> = { readonly [P in keyof K]: ValueOf<K[P]> };

/** The values of those keys that only a restart changes. */
export type FixedValues<K extends Keys> = {
  readonly [P in keyof K as K[P] extends Key<unknown, "reload"> ? never : P]: ValueOf<K[P]>;
};

type Rest<N extends Named> = N extends { readonly rest: infer R extends string }
  ? { readonly [P in R]: Readonly<Record<string, unknown>> }
  : unknown;

/** The values of one table of a free name. */
export type NamedValues<N extends Named> = Values<N["keys"]> & Rest<N>;

type NamedTables<N> = N extends Named
  ? { readonly [P in N["name"]]: Readonly<Record<string, NamedValues<N>>> }
  : unknown;

/** What Config holds of a table. */
export type TableValues<T> = T extends Table<infer K, infer N> ? Values<K> & NamedTables<N> : never;

/** The same without what reloads. */
export type FixedTableValues<T> =
  T extends Table<infer K, infer N>
    ? FixedValues<K> & (N extends { readonly change: "restart" } ? NamedTables<N> : unknown)
    : never;
