// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, writeFileSync } from "node:fs";
import { parseReference, type Reference } from "../../src/images/reference.ts";
import type { FuzzTarget } from "../fuzz/target.ts";

// Targets with faults, each of another kind, for the fuzzer's own test.

const planted = (name: string, run: FuzzTarget["run"]): FuzzTarget => ({
  name,
  parses: ["src/images/reference.ts"],
  maxBytes: 64,
  dictionary: [":v1", "a:1/", "!"],
  *seeds() {
    yield Buffer.from("harmless");
    yield Buffer.from("a:1/b");
    yield Buffer.from("c/d:e");
  },
  run,
});

const isBad = (input: Buffer): boolean => input.includes("!");

/** Needs a search: a name with a port and a tag. */
export const throws: FuzzTarget = planted("throws", (input) => {
  let read: Reference;
  try {
    read = parseReference(input.toString("latin1"));
  } catch {
    return;
  }
  const { domain, tag } = read;
  if (domain.includes(":") && tag !== "latest") throw new TypeError("no function");
});

export const loops: FuzzTarget = planted("loops", (input) => {
  while (isBad(input));
});

export const waits: FuzzTarget = planted("waits", async (input) => {
  if (isBad(input)) await new Promise((resolve) => setTimeout(resolve, 30_000));
});

export const rejects: FuzzTarget = planted("rejects", async (input) => {
  const rejected = async (): Promise<void> => {
    await Promise.resolve();
    throw new Error("nobody listens");
  };
  if (isBad(input)) void rejected();
});

export const grows: FuzzTarget = planted("grows", (input) => {
  const kept: unknown[] = [];
  while (isBad(input)) kept.push(Array.from({ length: 10_000 }, Math.random));
});

const leaked: Buffer[] = [];
export const leaks: FuzzTarget = planted("leaks", (input) => {
  if (isBad(input)) leaked.push(Buffer.alloc(16 * 1024 * 1024, 1));
});

export const asks: FuzzTarget = planted("asks", (input) => {
  if (isBad(input)) Buffer.alloc(300 * 1024 * 1024);
});

export const escapes: FuzzTarget = planted("escapes", (input) => {
  writeFileSync("own", input);
  if (isBad(input)) writeFileSync("../other", input);
});

export const spoils: FuzzTarget = planted("spoils", (input) => {
  if (isBad(input)) appendFileSync("../kept/canary", input);
});

export const exits: FuzzTarget = planted("exits", (input) => {
  // oxlint-disable-next-line no-process-exit -- as a crash of the program itself
  if (isBad(input)) process.exit(0);
});

export const sound: FuzzTarget = planted("sound", (input) => {
  try {
    parseReference(input.toString("latin1"));
  } catch {
    return;
  }
});
