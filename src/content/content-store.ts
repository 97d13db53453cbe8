// SPDX-License-Identifier: Apache-2.0
import { rmSync, statSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { syncDirectory } from "../base/atomic-file.ts";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault, type RuntimeFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { nowNanos } from "../base/now.ts";
import { onDisk } from "../base/on-disk.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { contentTable } from "./blob-record.ts";
import { IngestWriter, type Labels, type WriterHost } from "./content-writer.ts";
import { damageOf } from "./damage.ts";
import { algorithmOf, digestAlgorithms, digestOf, hexOf } from "./digest.ts";
import { GatherBuffers } from "./gather-buffers.ts";
import {
  dropHalfMadeIngests,
  ingestDir,
  listIngests,
  type OpenIngest,
  openIngest,
  removeEmptied,
} from "./ingest.ts";
import type {
  AbortOptions,
  BlobFile,
  ContentInfo,
  ContentStore,
  ContentWriter,
  DamagedBlob,
  Digest,
  IngestStatus,
  WriterOptions,
  WritingStatus,
} from "./ports.ts";

export interface ContentStoreOptions {
  /** Folder of `blobs/sha256/`, others like it and `ingest/`; made when missing. */
  readonly root: string;
  readonly metadata: MetadataStore;
  readonly log: Logger;
}

/**
 * Opens the content store of a folder. Claims on blobs whose file is gone are dropped, files that no
 * namespace claims are removed: both are what a crash between the two steps leaves.
 */
export async function createContentStore(options: ContentStoreOptions): Promise<ContentStore> {
  const store = new FileContentStore(options);
  await store.recover();
  return store;
}

class FileContentStore implements ContentStore {
  readonly root: string;
  readonly #blobs: string;
  readonly #table: RecordTable<ContentInfo>;
  readonly #log: Logger;
  /** Refs with a writer. */
  readonly #writing = new Map<string, Writing>();
  readonly #buffers = new GatherBuffers();
  /** Digests that are being published, and by how many: their files must not be unlinked. */
  readonly #publishing = new Map<Digest, number>();
  /** Digests whose file is gone and whose records are going: nobody may write one of these again meanwhile. */
  readonly #dropping = new Set<Digest>();

  constructor({ root, metadata, log }: ContentStoreOptions) {
    this.root = root;
    this.#blobs = path.join(root, "blobs");
    this.#table = contentTable(metadata);
    this.#log = log;
  }

  async recover(): Promise<void> {
    await mkdir(path.join(this.#blobs, "sha256"), { recursive: true, mode: 0o700 });
    await mkdir(path.join(this.root, "ingest"), { recursive: true, mode: 0o700 });
    const files = await blobFiles(this.#blobs);
    const claimed = new Set<string>();
    for (const { namespace, id, record } of this.#table.entries()) {
      const name = fileName(record.digest);
      claimed.add(name);
      if (files.has(name)) continue;
      this.#log.warn({ namespace, digest: id }, "blob file is gone, its record is dropped");
      await this.#table.delete(namespace, id);
    }
    for (const name of files) {
      if (!claimed.has(name)) await this.#removeStray(path.join(this.#blobs, name));
    }
    await dropHalfMadeIngests(this.root);
  }

  async #removeStray(file: string): Promise<void> {
    try {
      await rm(file, { force: true });
    } catch (error) {
      this.#log.warn({ path: file, err: error }, "what is no blob lies among them");
    }
  }

  info(namespace: string, digest: Digest): ContentInfo | undefined {
    return this.#dropping.has(digest) ? undefined : this.#table.get(namespace, digest);
  }

  list(namespace: string): readonly ContentInfo[] {
    return this.#table.list(namespace);
  }

  pathOf(digest: Digest): string {
    if (!this.#isClaimed(digest)) throw fault("NOT_FOUND", `content "${digest}" not found`);
    return this.#fileOf(digest);
  }

  async read(digest: Digest, { signal }: Cancellable): Promise<Buffer> {
    const file = this.pathOf(digest);
    const seen = this.fileNow(digest);
    let damage: DamagedBlob | undefined;
    try {
      const bytes = await readFile(file, { signal });
      const own = digestOf(bytes, algorithmOf(digest));
      if (own === digest) return bytes;
      damage = { seen, problem: `its bytes have the digest ${own}` };
    } catch (error) {
      damage = damageOf(this, digest, error);
      if (damage === undefined) throw error;
    }
    throw (
      (await this.dropDamaged(digest, damage)) ??
      fault("UNAVAILABLE", `content "${digest}" was replaced while it was read`)
    );
  }

  async writer(namespace: string, ref: string, options: WriterOptions): Promise<ContentWriter> {
    if (ref === "") throw fault("INVALID_ARGUMENT", "an ingest needs a ref");
    if (options.expected && this.info(namespace, options.expected)) {
      throw fault("ALREADY_EXISTS", `content "${options.expected}" exists`);
    }
    const release = this.#hold(namespace, ref);
    try {
      const ingest = await onDisk(`begin to write "${ref}"`, path.join(this.root, "ingest"), () =>
        openIngest(this.root, namespace, ref, options),
      );
      const host: WriterHost = {
        buffers: this.#buffers,
        publish: (done, size, digest, labels) =>
          this.#publish(namespace, done, { sizeBytes: size, digest, labels }),
        release,
      };
      const writer = new IngestWriter(ingest, host, options.along);
      const writing = this.#writing.get(keyOf(namespace, ref));
      if (writing) writing.writer = writer;
      return writer;
    } catch (error) {
      release();
      throw error;
    }
  }

  async setLabels(namespace: string, digest: Digest, labels: Labels): Promise<ContentInfo> {
    const known = this.info(namespace, digest);
    if (!known) throw fault("NOT_FOUND", `content "${digest}" not found`);
    const changed = { ...known, labels: { ...labels }, updatedAtNanos: nowNanos() };
    await this.#table.put(namespace, digest, changed);
    return changed;
  }

  async delete(namespace: string, digest: Digest): Promise<void> {
    if (!this.#table.has(namespace, digest)) {
      throw fault("NOT_FOUND", `content "${digest}" not found`);
    }
    await this.#table.delete(namespace, digest);
    // Check and unlink in one go, so that no publisher can come in between.
    if (this.#publishing.has(digest) || this.#isClaimed(digest)) return;
    rmSync(this.#fileOf(digest), { force: true });
  }

  fileNow(digest: Digest): BlobFile | undefined {
    const found = statSync(this.#fileOf(digest), { bigint: true, throwIfNoEntry: false });
    return found && { inode: found.ino, changedAtNanos: found.ctimeNs };
  }

  async dropDamaged(
    digest: Digest,
    { seen, problem }: DamagedBlob,
  ): Promise<RuntimeFault | undefined> {
    const now = this.fileNow(digest);
    const isSame = now?.inode === seen?.inode && now?.changedAtNanos === seen?.changedAtNanos;
    if (!isSame || this.#publishing.has(digest)) return undefined;
    const claims = this.#table.entries().filter(({ id }) => id === digest);
    // The file first: a record without one is dropped by whoever reads it next, and at the next start.
    rmSync(this.#fileOf(digest), { force: true });
    this.#dropping.add(digest);
    try {
      await Promise.all(claims.map(({ namespace, id }) => this.#table.delete(namespace, id)));
    } finally {
      this.#dropping.delete(digest);
    }
    this.#log.error({ digest, problem }, "blob is damaged, it is dropped; a pull brings it again");
    return fault("DATA_LOSS", `content "${digest}" is damaged on the disk: ${problem}`);
  }

  writing(namespace: string, ref: string): WritingStatus | undefined {
    const writing = this.#writing.get(keyOf(namespace, ref));
    if (!writing) return undefined;
    const { writer, released } = writing;
    return { offsetBytes: writer?.offsetBytes ?? 0n, released: released.signal };
  }

  ingests(namespace: string): Promise<readonly IngestStatus[]> {
    return listIngests(this.root, namespace);
  }

  async abort(namespace: string, ref: string, options: AbortOptions = {}): Promise<void> {
    if (options.evenWhileWritten) await this.#writing.get(keyOf(namespace, ref))?.writer?.discard();
    const release = this.#hold(namespace, ref);
    try {
      const dir = ingestDir(this.root, namespace, ref);
      await stat(dir).catch((error: unknown) => {
        throw fault("NOT_FOUND", `ingest "${ref}" not found`, { cause: error });
      });
      await rm(dir, { recursive: true, force: true });
    } finally {
      release();
    }
  }

  async #publish(
    namespace: string,
    ingest: OpenIngest,
    { digest, labels, sizeBytes }: Pick<ContentInfo, "digest" | "labels" | "sizeBytes">,
  ): Promise<void> {
    this.#publishing.set(digest, (this.#publishing.get(digest) ?? 0) + 1);
    try {
      // Also when the blob is there already: the bytes are the same, and the rename costs nothing.
      const file = this.#fileOf(digest);
      await onDisk(`store "${digest}"`, this.#blobs, async () => {
        await this.#makeFolder(path.dirname(file));
        await rename(path.join(ingest.dir, "data"), file);
        await syncDirectory(path.dirname(file));
      });
      const known = this.#table.get(namespace, digest);
      const now = nowNanos();
      await this.#table.put(namespace, digest, {
        digest,
        sizeBytes,
        createdAtNanos: known?.createdAtNanos ?? now,
        updatedAtNanos: now,
        labels: { ...known?.labels, ...labels },
      });
    } finally {
      const others = (this.#publishing.get(digest) ?? 1) - 1;
      if (others > 0) this.#publishing.set(digest, others);
      else this.#publishing.delete(digest);
    }
    await removeEmptied(ingest.dir);
  }

  #hold(namespace: string, ref: string): () => void {
    const key = keyOf(namespace, ref);
    if (this.#writing.has(key)) {
      // containerd's text and code: its clients wait and try again when they get them.
      throw fault("UNAVAILABLE", `ref ${ref} locked: unavailable`);
    }
    const writing: Writing = { writer: undefined, released: new AbortController() };
    this.#writing.set(key, writing);
    return () => {
      this.#writing.delete(key);
      writing.released.abort();
    };
  }

  #isClaimed(digest: Digest): boolean {
    return this.#table.entries().some(({ id }) => id === digest);
  }

  #fileOf(digest: Digest): string {
    return path.join(this.#blobs, fileName(digest));
  }

  /** That of sha256 is always there. */
  async #makeFolder(folder: string): Promise<void> {
    if (path.basename(folder) === "sha256") return;
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (made !== undefined) await syncDirectory(this.#blobs);
  }
}

/** Below the folder of blobs. */
function fileName(digest: Digest): string {
  return path.join(algorithmOf(digest), hexOf(digest));
}

async function blobFiles(folder: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const algorithm of digestAlgorithms) {
    const names = await readdir(path.join(folder, algorithm)).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    });
    for (const name of names) found.add(path.join(algorithm, name));
  }
  return found;
}

/** A ref that is taken: by a writer, or while one is being opened or the ingest removed. */
interface Writing {
  writer: IngestWriter | undefined;
  readonly released: AbortController;
}

function keyOf(namespace: string, ref: string): string {
  return `${namespace}\0${ref}`;
}
