// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { algorithmOf, parseDigest } from "../content/digest.ts";
import { untilFree } from "../content/free-ref.ts";
import type { ContentWriter, Digest } from "../content/ports.ts";
import type {
  ContentWriteContentRequest,
  ContentWriteContentResponseInit,
} from "../gen/content.gen.ts";
import { holdForCaller } from "../metadata/caller-lease.ts";
import { packAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import type { ContentServicePorts } from "./storage-ports.ts";
import { checkedLabels } from "./updated-labels.ts";

/** How long a second writer of a ref waits for the first; then its client tries again, or not. */
const patienceMs = 1_000;

/**
 * Write: the first message opens the ingest of its ref (resuming what is there), every message is
 * answered with where the ingest stands. When the stream ends without COMMIT the ingest is kept.
 */
export async function* writeContent(
  ports: ContentServicePorts,
  requests: AsyncIterable<ContentWriteContentRequest>,
  call: CallContext,
): AsyncGenerator<ContentWriteContentResponseInit, void, undefined> {
  const namespace = requiredNamespace(call);
  await using stack = new AsyncDisposableStack();
  let session: WriteSession | undefined;
  for await (const request of requests) {
    if (!session) session = stack.use(await WriteSession.open(ports, namespace, request, call));
    yield await session.answer(request);
  }
}

class WriteSession implements AsyncDisposable {
  readonly #ports: ContentServicePorts;
  readonly #namespace: string;
  readonly #ref: string;
  readonly #writer: ContentWriter;
  readonly #call: CallContext;
  #total: bigint;
  #expected: Digest | undefined;

  private constructor(
    ports: ContentServicePorts,
    { namespace, ref }: { readonly namespace: string; readonly ref: string },
    writer: ContentWriter,
    call: CallContext,
  ) {
    this.#ports = ports;
    this.#namespace = namespace;
    this.#ref = ref;
    this.#writer = writer;
    this.#call = call;
    const { totalBytes, expected } = writer.status();
    this.#total = totalBytes;
    this.#expected = expected;
  }

  static async open(
    ports: ContentServicePorts,
    namespace: string,
    first: ContentWriteContentRequest,
    call: CallContext,
  ): Promise<WriteSession> {
    const { content, leases, garbage } = ports;
    if (first.ref === "") {
      throw fault("INVALID_ARGUMENT", "the first message of a write must name a ref");
    }
    const expected = first.expected === "" ? undefined : parseDigest(first.expected);
    await untilFree(content, first.ref, { namespace, patienceMs, signal: call.signal });
    using _hold = await garbage.hold(namespace, call);
    // Also when the blob is there already: the lease must keep it from here on.
    if (expected) {
      await holdForCaller(leases, namespace, call, { type: "content", id: expected });
    }
    await holdForCaller(leases, namespace, call, { type: "ingests", id: first.ref });
    const writer = await content.writer(namespace, first.ref, {
      ...(expected && { expected }),
      ...(first.total > 0n && { sizeBytes: first.total }),
    });
    return new WriteSession(ports, { namespace, ref: first.ref }, writer, call);
  }

  async answer(request: ContentWriteContentRequest): Promise<ContentWriteContentResponseInit> {
    if (request.ref !== "" && request.ref !== this.#ref) {
      throw fault("INVALID_ARGUMENT", `write of ingest "${this.#ref}" cannot go on as another`);
    }
    if (request.total > 0n) this.#total = request.total;
    if (request.expected !== "") this.#expected = parseDigest(request.expected);
    const status = this.#writer.status();
    if (request.action !== "STAT") await this.#append(request);
    const digest =
      request.action === "COMMIT"
        ? await this.#commit(request.labels)
        : await this.#writer.digest();
    return {
      action: request.action,
      startedAt: timestampOf(status.startedAtNanos),
      updatedAt: timestampOf(this.#writer.status().updatedAtNanos),
      offset: this.#writer.offsetBytes,
      total: this.#total,
      digest,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]();
  }

  async #append({ offset, data }: ContentWriteContentRequest): Promise<void> {
    const at = this.#writer.offsetBytes;
    if (offset === 0n && at !== 0n) {
      if (data.length === 0) return; // a bare COMMIT need not repeat where it stands
      await this.#writer.truncate(0n);
    } else if (offset !== at) {
      throw fault(
        "OUT_OF_RANGE",
        `cannot write ingest "${this.#ref}" at ${offset}: it stands at ${at}`,
      );
    }
    if (data.length === 0) return;
    const end = offset + BigInt(data.length);
    if (this.#total > 0n && end > this.#total) {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot write ingest "${this.#ref}" up to ${end}: ${this.#total} bytes were announced`,
      );
    }
    await this.#writer.write(data, this.#call);
  }

  async #commit(given: Readonly<Record<string, string>>): Promise<Digest> {
    const { content, leases, garbage, events } = this.#ports;
    const digest = await this.#writer.digest(this.#expected && algorithmOf(this.#expected));
    const labels = checkedLabels(`content "${digest}"`, given);
    using _hold = await garbage.hold(this.#namespace, this.#call);
    const resource = { type: "content", id: digest };
    const isThere = content.info(this.#namespace, digest) !== undefined;
    if (!isThere || (this.#expected ?? digest) === digest) {
      await holdForCaller(leases, this.#namespace, this.#call, resource);
    }
    if (isThere && (this.#expected ?? digest) === digest) {
      await this.#writer[Symbol.asyncDispose]();
      await content.abort(this.#namespace, this.#ref);
      throw fault("ALREADY_EXISTS", `content "${digest}" exists`);
    }
    const size = this.#writer.offsetBytes;
    await this.#writer.commit({
      labels,
      ...(this.#total > 0n && { sizeBytes: this.#total }),
      ...(this.#expected && { expected: this.#expected }),
    });
    const event = packAny("containerd.events.ContentCreate", { digest, size });
    events.publish(this.#namespace, "/content/create", event);
    return digest;
  }
}
