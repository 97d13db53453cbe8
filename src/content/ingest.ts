// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  rm,
  rmdir,
  stat,
  unlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { errnoOf } from "../base/errors.ts";
import { makeFolder } from "../base/make-folder.ts";
import { nowNanos } from "../base/now.ts";
import { readBounded } from "../base/read-bounded.ts";
import type { Digest, IngestStatus, WriterOptions } from "./ports.ts";

const maxFactsBytes = 1024 * 1024;

/** What is stored about an ingest, beside its bytes. */
interface IngestFile {
  readonly namespace: string;
  readonly ref: string;
  readonly expected: string;
  readonly totalBytes: string;
  readonly startedAt: string;
  /** See WriterOptions. */
  readonly source?: string | undefined;
}

/** An unfinished write on disk: `<dir>/data` holds the bytes, `<dir>/ingest.json` what is known about them. */
export interface OpenIngest {
  readonly dir: string;
  readonly ref: string;
  /** Of its bytes. */
  readonly file: string;
  readonly handle: FileHandle;
  readonly offsetBytes: number;
  readonly totalBytes: bigint;
  readonly expected: Digest | undefined;
  readonly startedAtNanos: bigint;
  /** When bytes were last written to it. */
  readonly updatedAtNanos: bigint;
}

/** The folder of a ref. Refs are free text, so the name is a hash of it. */
export function ingestDir(root: string, namespace: string, ref: string): string {
  const name = createHash("sha256").update(`${namespace}\0${ref}`).digest("hex");
  return path.join(root, "ingest", name);
}

/** Makes the ingest, or opens the one of that ref, if it may be resumed, and reads what it holds into the hash. */
export async function openIngest(
  root: string,
  namespace: string,
  ref: string,
  options: Pick<WriterOptions, "expected" | "sizeBytes" | "source">,
): Promise<OpenIngest> {
  const dir = ingestDir(root, namespace, ref);
  const { source } = options;
  const found = await readIngestFile(dir);
  const known = source === undefined || found?.source === source ? found : undefined;
  const facts: IngestFile = {
    ...(known ?? {
      namespace,
      ref,
      expected: options.expected ?? "",
      totalBytes: String(options.sizeBytes ?? 0n),
      startedAt: String(nowNanos()),
    }),
    source,
  };
  const file = path.join(dir, "ingest.json");
  await using undo = new AsyncDisposableStack();
  if (known === undefined) {
    // On a full disk nothing stays of one that was not there.
    undo.defer(() => rm(dir, { recursive: true, force: true }));
    await makeEmpty(dir);
    // Not flushed: half of it counts as none, and bytes that a power cut spoils are found by their digest.
    await writeFile(file, JSON.stringify(facts), { mode: 0o600 });
  } else if (known.source !== source) {
    await writeFileAtomic(file, JSON.stringify(facts)); // before bytes of another source come
  }
  const data = path.join(dir, "data");
  const handle = await open(data, "a+", 0o600);
  try {
    const { size, mtimeNs } = await handle.stat({ bigint: true });
    const startedAtNanos = BigInt(facts.startedAt);
    undo.move();
    return {
      dir,
      ref,
      file: data,
      handle,
      offsetBytes: Number(size),
      updatedAtNanos: laterOf(mtimeNs, startedAtNanos),
      totalBytes: BigInt(facts.totalBytes) || (options.sizeBytes ?? 0n),
      expected: (facts.expected || options.expected || undefined) as Digest | undefined,
      startedAtNanos,
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Removes an ingest whose bytes have gone elsewhere. */
export async function removeEmptied(dir: string): Promise<void> {
  try {
    await unlink(path.join(dir, "ingest.json"));
    await rmdir(dir);
  } catch {
    await rm(dir, { recursive: true, force: true });
  }
}

async function makeEmpty(dir: string): Promise<void> {
  try {
    await mkdir(dir, { mode: 0o700 });
  } catch {
    await rm(dir, { recursive: true, force: true });
    await makeFolder(dir, 0o700); // Node's own takes a read-only disk for a missing folder
  }
}

/**
 * At the start, before anything is written: removes folders without ingest.json, left by a daemon that was killed as
 * it made them. Nobody can resume one.
 */
export async function dropHalfMadeIngests(root: string): Promise<void> {
  const base = path.join(root, "ingest");
  for (const name of await readdir(base)) {
    const dir = path.join(base, name);
    // An ingest that cannot be read fails no start; the next start may be able to read it.
    const isComplete = await readIngestFile(dir).then(
      (facts) => facts !== undefined,
      () => true,
    );
    if (!isComplete) await rm(dir, { recursive: true, force: true }).catch(() => {});
  }
}

/** Every ingest of a namespace, from disk. Folders without ingest.json are left out. */
export async function listIngests(root: string, namespace: string): Promise<IngestStatus[]> {
  const base = path.join(root, "ingest");
  const found: IngestStatus[] = [];
  for (const name of await readdir(base)) {
    const dir = path.join(base, name);
    const facts = await readIngestFile(dir);
    if (facts?.namespace !== namespace) continue;
    const data = await stat(path.join(dir, "data"), { bigint: true }).catch(() => undefined);
    const startedAtNanos = BigInt(facts.startedAt);
    found.push({
      ref: facts.ref,
      offsetBytes: data?.size ?? 0n,
      totalBytes: BigInt(facts.totalBytes),
      expected: (facts.expected || undefined) as Digest | undefined,
      startedAtNanos,
      updatedAtNanos: laterOf(data?.mtimeNs ?? 0n, startedAtNanos),
    });
  }
  return found;
}

/** A new file's time, by the kernel's coarse clock, can be some milliseconds before we made it. */
function laterOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

async function readIngestFile(dir: string): Promise<IngestFile | undefined> {
  try {
    const facts = JSON.parse(
      String(await readBounded(path.join(dir, "ingest.json"), maxFactsBytes)),
    ) as IngestFile;
    BigInt(facts.startedAt); // SyntaxError or TypeError, as for all that is no number
    BigInt(facts.totalBytes);
    return facts;
  } catch (error) {
    // Half-made by a crash. It counts as absent, since nothing of it was ever shown.
    if (errnoOf(error) === undefined) return undefined; // no JSON, no facts, no plain file
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}
