// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import type { ContentStore, ContentWriter, ReadsAlong } from "../../content/ports.ts";
import type { ImageSource } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { BlobCourse, leastBytes } from "./blob-course.ts";
import type { RegistryHost } from "./hosts.ts";
import { registryLimits, within } from "./limits.ts";
import { OtherWriters } from "./other-writer.ts";
import { isPassing, patiently } from "./patience.ts";
import { receiveBlob } from "./receive-blob.ts";
import type { RegistryClient } from "./registry-client.ts";
import { isRegistryUnavailable } from "./registry-fault.ts";
import { isTinyPieces } from "./tiny-pieces.ts";

export interface DownloadOptions {
  readonly client: Pick<
    RegistryClient,
    "reference" | "blob" | "assertReadable" | "patience" | "hosts" | "sources" | "failure"
  >;
  readonly content: Pick<ContentStore, "info" | "writer" | "writing" | "abort">;
  readonly namespace: string;
  /** A transfer that brings too little for this long is ended; 0 for never. */
  readonly progressTimeoutMs: number;
  readonly labels: ImageSource["labels"];
  readonly along?: ReadsAlong;
  /** Awaited whenever the blob, or its rest, is about to be downloaded, and the ingest is not open. */
  readonly begins?: (call: Cancellable) => Promise<void>;
  /** Called for each piece that arrives. */
  readonly onBytes?: (bytes: number) => void;
  /** How much of the blob is here, whenever that changes. */
  readonly onOffset?: (bytes: number) => void;
}

/**
 * Brings a blob into the content store, checked for size and digest; false when somebody else did. After a broken
 * connection it goes on from there, as often as there was progress; after a host that stalls or sends something else
 * it goes on with the next, and it uses what an earlier pull from the same registry left of the blob. While another writer brings the same
 * blob it waits, up to a limit, as long as that one makes progress. Errors: those of the client, DEADLINE_EXCEEDED (no
 * progress), FAILED_PRECONDITION (wrong bytes).
 */
export async function downloadBlob(
  options: DownloadOptions,
  descriptor: Descriptor,
  call: Cancellable,
): Promise<boolean> {
  await using download = new BlobDownload(options, descriptor);
  const { patience } = options.client;
  return await patiently((progress) => attemptsUntilWait(download, progress, call), {
    patience,
    ...call,
  });
}

/** Attempts at one host after the other. What is thrown is passing where a wait may help. */
async function attemptsUntilWait(
  download: BlobDownload,
  progress: () => void,
  call: Cancellable,
): Promise<boolean> {
  for (;;) {
    const end = await download.attempt(call);
    if (typeof end === "boolean") return end;
    if (end.hasProgress) progress();
    if (end.next !== "host") throw asPassing(end.error, end.next === "wait");
  }
}

function asPassing(error: RuntimeFault, passing: boolean): RuntimeFault {
  const { code, message, details, cause } = error;
  return fault(code, message, { cause, details: { ...details, passing } });
}

/** An attempt that did not bring the blob. */
interface Setback {
  readonly error: RuntimeFault;
  /** Whether there is more of the blob than ever before. */
  readonly hasProgress: boolean;
  /** What is worth another attempt: another host, at once; a wait; nothing. */
  readonly next: "host" | "wait" | "end";
}

/** What an attempt has come to. */
interface Attempt {
  /** Which sends the bytes; undefined until one does. */
  host?: RegistryHost;
  /** Bytes before and after. */
  from: number;
  to: number;
}

/** The ingest that the blob is written to. */
interface Opened {
  readonly writer: ContentWriter;
  readonly ref: string;
}

class BlobDownload implements AsyncDisposable {
  readonly #options: DownloadOptions;
  readonly #descriptor: Descriptor;
  readonly #course: BlobCourse;
  /** Open from one attempt to the next: to open it again is to hash all that it has. */
  #opened: Opened | undefined;
  /** An ingest of our own, where another writer has the one that later downloads resume. */
  #own: string | undefined;

  constructor(options: DownloadOptions, descriptor: Descriptor) {
    this.#options = options;
    this.#descriptor = descriptor;
    this.#course = new BlobCourse(descriptor.size);
  }

  async attempt(call: Cancellable): Promise<boolean | Setback> {
    if (this.#opened && this.#isHere()) {
      // Somebody else was quicker, with an ingest of their own.
      await this.#forget();
      return false;
    }
    if (!this.#opened) await this.#options.begins?.(call);
    this.#opened ??= await this.#openWriter(call);
    if (this.#opened === undefined) return false;
    const { writer } = this.#opened;
    const attempt: Attempt = { from: 0, to: 0 };
    try {
      await this.#fill(writer, attempt, call);
      await this.#commit(writer);
      return true;
    } catch (error) {
      call.signal.throwIfAborted();
      if (!(error instanceof RuntimeFault)) throw error;
      const setback = await this.#setback(error, attempt);
      if (setback) return setback;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#own !== undefined) await this.#forget();
    else await this.#close();
  }

  #isHere(): boolean {
    const { content, namespace } = this.#options;
    return content.info(namespace, this.#descriptor.digest) !== undefined;
  }

  /** Appends what a host sends until the blob is complete. */
  async #fill(writer: ContentWriter, attempt: Attempt, call: Cancellable): Promise<void> {
    const { client, onOffset } = this.#options;
    const { size } = this.#descriptor;
    const course = this.#course;
    if (writer.offsetBytes > BigInt(size)) await writer.truncate(0n);
    attempt.from = attempt.to = Number(writer.offsetBytes);
    onOffset?.(attempt.from);
    course.opened(attempt.from);
    // One that is said to be empty is asked for: else nothing would ever tell it from what it is.
    if (size > 0 && attempt.from >= size) {
      // All of it came for an earlier pull, of whatever repository.
      await client.assertReadable(this.#descriptor.digest, call);
      return;
    }
    const { failed } = course;
    const { host, ...sent } = await client.blob(this.#descriptor, attempt.from, failed, call);
    attempt.host = host;
    const others = client.sources - failed.size - 1;
    const windowMs = stallMs(others, this.#options.progressTimeoutMs);
    let at = sent.start;
    const onBytes = (bytes: number): void => {
      this.#options.onBytes?.(bytes);
      at += bytes;
      onOffset?.(Math.min(size, Math.max(at, attempt.from)));
    };
    try {
      const descriptor = this.#descriptor;
      await receiveBlob({ ...sent, ...call, descriptor, writer, windowMs, onBytes });
    } finally {
      attempt.to = Number(writer.offsetBytes);
      if (attempt.to > attempt.from) course.brought(host);
    }
  }

  async #commit(writer: ContentWriter): Promise<void> {
    const { content, namespace, labels } = this.#options;
    const { digest, size } = this.#descriptor;
    const found = await writer.digest();
    if (found !== digest) {
      throw fault("FAILED_PRECONDITION", `"${digest}" arrived with digest ${found}`);
    }
    await writer.commit({
      expected: digest,
      sizeBytes: BigInt(size),
      labels: labels(content.info(namespace, digest)?.labels),
    });
  }

  /** Learns from a failure, and says what is worth another attempt; undefined for one that is no host's. */
  async #setback(error: RuntimeFault, attempt: Attempt): Promise<Setback | undefined> {
    const { client } = this.#options;
    const course = this.#course;
    const { host, from, to } = attempt;
    const isWrong = isFault(error, "FAILED_PRECONDITION");
    const hasProgress = !isWrong && course.advanced(to);
    const told = () => client.failure(course.failed);
    const next = (): Setback["next"] => {
      if (client.sources > course.failed.size) return "host";
      return course.pardon() ? "wait" : "end";
    };
    if (isWrong && to > 0 && to >= this.#descriptor.size) {
      // All is here and does not fit its digest.
      const isKnown = course.wasWrong(error, client.hosts);
      await this.#forget();
      return { error: isKnown ? told() : error, hasProgress, next: next() };
    }
    if (host === undefined) {
      // None of the hosts has opened it: the error tells of all.
      const isBusy = isPassing(error) || course.pardon();
      return { error, hasProgress, next: isBusy ? "wait" : "end" };
    }
    const hasOthers = client.sources - course.failed.size > 1;
    // Less than progress gets another attempt too, as long as there are any.
    const hasMoved = hasProgress || to >= from + leastBytes;
    const isStalled = isFault(error, "DEADLINE_EXCEEDED");
    if (isRegistryUnavailable(error) || (isStalled && hasMoved && !hasOthers)) {
      if (hasOthers && !hasProgress) course.brokeOff(host, error);
      const isLeft = course.failed.has(host);
      const all = new Map([...course.failed, [host, error] as const]);
      return { error: client.failure(all), hasProgress, next: isLeft ? "host" : "wait" };
    }
    if (!isOfHost(error)) return undefined;
    course.failed.set(host, error);
    if (isWrong && to > from) {
      await this.#forget(); // they are of something else
    } else if (isWrong) {
      await this.#close(); // it may be the writer that said it, whose ingest was taken away
    }
    return { error: told(), hasProgress, next: next() };
  }

  /** A writer for the blob; undefined once the blob is there. Does not wait for one that makes no progress. */
  async #openWriter(call: Cancellable): Promise<Opened | undefined> {
    const { client, content, namespace, along } = this.#options;
    const { digest, size } = this.#descriptor;
    // containerd's clients use this name too.
    const shared = `layer-${digest}`;
    const others = new OtherWriters();
    for (;;) {
      const ref = this.#own ?? shared;
      try {
        const writer = await content.writer(namespace, ref, {
          expected: digest,
          sizeBytes: BigInt(size),
          // What another registry has sent says nothing about what this one has.
          source: client.reference.domain,
          ...(along && { along }),
        });
        return { writer, ref };
      } catch (error) {
        if (isFault(error, "ALREADY_EXISTS")) return undefined;
        if (!isFault(error, "UNAVAILABLE")) throw error;
      }
      const isOver = await others.wait(content, namespace, ref, call);
      if (!isOver) this.#own = `${shared}-${crypto.randomUUID()}`;
    }
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.writer[Symbol.asyncDispose]();
  }

  /** Drops the ingest, with what it has. */
  async #forget(): Promise<void> {
    const { content, namespace } = this.#options;
    const ref = this.#opened?.ref ?? this.#own;
    await this.#close();
    if (ref === undefined) return;
    try {
      await content.abort(namespace, ref);
    } catch (error) {
      if (!isFault(error, "NOT_FOUND", "UNAVAILABLE")) throw error;
    }
  }
}

/** How long a transfer may stand still: a host that others can stand in for has no more time than for an answer. */
export function stallMs(otherHosts: number, progressTimeoutMs: number): number {
  return otherHosts > 0 ? within(registryLimits.answerMs, progressTimeoutMs) : progressTimeoutMs;
}

/** Whether a failure while bytes came is the host's: it sent something else, or too slowly. */
function isOfHost(error: RuntimeFault): boolean {
  return isFault(error, "FAILED_PRECONDITION", "DEADLINE_EXCEEDED") || isTinyPieces(error);
}
