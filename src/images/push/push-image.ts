// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from "node:fs";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isAbort } from "../../base/errors.ts";
import { mapAtOnce } from "../../base/map-at-once.ts";
import type { NamespaceContent } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { TransferState, TransferStep } from "../ports.ts";
import { canonicalName } from "../reference.ts";
import type { PushClient } from "../registry/push-client.ts";
import { isUnsendable } from "../registry/send-stream.ts";
import { likelySources } from "../registry/source-label.ts";
import { type Uploaded, uploadBlob } from "../registry/upload-blob.ts";
import type { PushPlan } from "./push-plan.ts";

export interface PushTools extends NamespaceContent {
  readonly client: PushClient;
  /** Whether layers that must not be distributed are pushed too. */
  readonly nonDistributable: boolean;
  /** Hears of each change. Must not throw. */
  readonly onStep?: (step: TransferStep) => void;
  readonly onBytes?: (bytes: number) => void;
}

/** As many as docker sends at a time. */
const uploadsAtOnce = 5;

/** Sends what the plan has, blobs first, the root last. Errors: those of the client, of which `uploadBlob` tells. */
export async function pushPlanned(
  plan: PushPlan,
  options: PushTools,
  { signal }: Cancellable,
): Promise<void> {
  const { client, onStep } = options;
  const { reference } = client;
  const stop = new AbortController();
  const call = { signal: AbortSignal.any([signal, stop.signal]) };
  const configs = new Set(plan.blobs.filter(isConfig).map(({ digest }) => digest));
  for (const { digest, size } of plan.blobs) {
    const kind = configs.has(digest) ? "config" : "layer";
    onStep?.({ digest, kind, state: "waiting", doneBytes: 0, totalBytes: size });
  }
  try {
    await mapAtOnce(plan.blobs, uploadsAtOnce, async (blob) => {
      try {
        await pushBlob(blob, options, call);
      } catch (error) {
        stop.abort(error); // the others need not go on
        throw error;
      }
    });
    for (const document of [...plan.documents, plan.root]) {
      const isRoot = document === plan.root;
      const { digest, size } = document;
      const name = isRoot ? (reference.digest ?? reference.tag ?? digest) : digest;
      const step = { digest, kind: "manifest", totalBytes: size } as const;
      onStep?.({ ...step, state: "uploading", doneBytes: 0 });
      const state = await client.putDocument(document, name, call);
      onStep?.({ ...step, state, doneBytes: size });
    }
  } catch (error) {
    signal.throwIfAborted();
    const first: unknown = stop.signal.aborted ? stop.signal.reason : error;
    if (isAbort(first)) throw fault("ABORTED", `push of "${canonicalName(reference)}" was ended`);
    throw first;
  }
}

async function pushBlob(blob: Descriptor, options: PushTools, call: Cancellable): Promise<void> {
  const { client, content, namespace, nonDistributable, onStep, onBytes } = options;
  const { digest, size } = blob;
  const kind = isConfig(blob) ? "config" : "layer";
  const tell = (state: TransferState, doneBytes: number): void =>
    onStep?.({ digest, kind, state, doneBytes, totalBytes: size });
  if (isNonDistributable(blob) && !nonDistributable) {
    tell("skipped", 0);
    return;
  }
  const info = content.info(namespace, digest);
  if (info && info.sizeBytes !== BigInt(size)) {
    throw fault(
      "FAILED_PRECONDITION",
      `blob "${digest}" has ${info.sizeBytes} bytes, its descriptor says ${size}`,
    );
  }
  let isBegun = false;
  const open = (start: number, bytes: number) =>
    createReadStream(content.pathOf(digest), { start, end: start + bytes - 1 });
  const uploaded = await uploadOrTell(
    {
      digest,
      size,
      ...(info && { open }),
      sources: info ? likelySources(info.labels, client.reference) : [],
    },
    {
      client,
      ...(onBytes && { onBytes }),
      onBegin: () => {
        isBegun = true;
        tell("uploading", 0);
      },
      onSent: (bytes) => {
        if (isBegun) tell("uploading", bytes);
      },
    },
    call,
  );
  tell(uploaded, size);
}

/** Uploads, and says what to do where the disk has lost the blob. */
async function uploadOrTell(
  ...[blob, options, call]: Parameters<typeof uploadBlob>
): Promise<Uploaded> {
  try {
    return await uploadBlob(blob, options, call);
  } catch (error) {
    if (!isUnsendable(error)) throw error;
    throw fault(
      "DATA_LOSS",
      `blob "${blob.digest}" cannot be read on this node: "berth image verify" drops it, and the next pull brings it again`,
      { cause: error },
    );
  }
}

function isConfig({ mediaType }: Descriptor): boolean {
  return /\bconfig\b|container\.image/.test(mediaType);
}

/** Layers whose licence keeps them with their makers: they come from addresses in the manifest. */
function isNonDistributable({ mediaType }: Descriptor): boolean {
  return /\.(foreign|nondistributable)\./.test(mediaType);
}
