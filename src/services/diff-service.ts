// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { fault, isFault } from "../base/errors.ts";
import type { MappedMountOptions } from "../base/os/mapped-mount.ts";
import { unmapUpper } from "../base/os/unmapped-upper.ts";
import { parseDigest } from "../content/digest.ts";
import { untilFree } from "../content/free-ref.ts";
import type { ContentStore } from "../content/ports.ts";
import { applyLayer } from "../diff/apply-layer.ts";
import { type MadeDiff, makeDiff } from "../diff/make-diff.ts";
import { checkLayer, compressionFor, defaultLayer, plainLayer } from "../diff/media-types.ts";
import { openScratchMounts } from "../diff/scratch-mounts.ts";
import type { DiffApplyRequest, DiffDiffRequest } from "../gen/diff.gen.ts";
import type { TypesDescriptorInit } from "../gen/types.gen.ts";
import { plainDigestLabel } from "../images/image-source.ts";
import { PullPins } from "../images/pull-pins.ts";
import { holdForCaller } from "../metadata/caller-lease.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { nanosOf } from "../rpc/timestamp.ts";
import type { StoragePorts } from "./storage-ports.ts";
import { checkedLabels } from "./updated-labels.ts";

/** `scratchFolder` takes mount points and files until they are stored. */
export interface DiffServicePorts extends Omit<StoragePorts, "events">, MappedMountOptions {
  readonly content: ContentStore;
}

/** How long a difference that is made waits for another writer of its ref. */
const patienceMs = 60_000;

/** containerd's Diff service: layers onto mounts, and the difference of mounts into layers. */
export function createDiffService(
  ports: DiffServicePorts,
): ServiceImpl<"containerd.services.diff.v1.Diff"> {
  const { garbage } = ports;
  const pins = new Map<string, PullPins>();
  const pinsOf = (namespace: string): PullPins => {
    const known = pins.get(namespace) ?? new PullPins(garbage, namespace);
    pins.set(namespace, known);
    return known;
  };
  return {
    Apply: async (request, call) => {
      const id = request.diff?.digest ?? "";
      // What is applied stays until then, whether its client holds a lease or not.
      using _pin = await pinsOf(requiredNamespace(call)).keep([{ type: "content", id }], call);
      return { applied: await apply(ports, request, call) };
    },
    Diff: async (request, call) => ({ diff: await diff(ports, request, call) }),
  };
}

async function apply(
  ports: DiffServicePorts,
  { diff, mounts, syncFs }: DiffApplyRequest,
  call: CallContext,
): Promise<TypesDescriptorInit> {
  const namespace = requiredNamespace(call);
  const { content, scratchFolder } = ports;
  if (!diff) throw fault("INVALID_ARGUMENT", "the request names no layer");
  checkLayer(diff.mediaType);
  const digest = parseDigest(diff.digest);
  if (!content.info(namespace, digest)) throw fault("NOT_FOUND", `content "${digest}" not found`);
  await using lent = await unmapUpper(mounts, ports);
  const request = {
    blob: content.pathOf(digest),
    mounts: lent.mounts,
    sync: syncFs,
    scratchFolder,
  };
  const { diffId, plainBytes } = await applyLayer(request, call);
  return { mediaType: plainLayer, digest: diffId, size: plainBytes };
}

async function diff(
  ports: DiffServicePorts,
  request: DiffDiffRequest,
  call: CallContext,
): Promise<TypesDescriptorInit> {
  const namespace = requiredNamespace(call);
  const mediaType = request.mediaType === "" ? defaultLayer : request.mediaType;
  const compression = compressionFor(mediaType);
  const { sourceDateEpoch } = request;
  const latestNanos = sourceDateEpoch ? nanosOf(sourceDateEpoch) : undefined;
  await using scratch = await openScratchMounts(ports.scratchFolder);
  await using left = await unmapUpper(request.left, ports);
  await using right = await unmapUpper(request.right, ports);
  const sides = { left: left.mounts, right: right.mounts };
  const made = await makeDiff({ ...sides, compression, latestNanos }, scratch, call);
  const stored = await store(ports, made, { namespace, request }, call);
  return { mediaType, ...stored };
}

async function store(
  { content, leases, garbage }: DiffServicePorts,
  { file, diffId }: MadeDiff,
  { namespace, request }: { readonly namespace: string; readonly request: DiffDiffRequest },
  call: CallContext,
): Promise<{ digest: string; size: bigint }> {
  const { labels, ref } = request;
  const name = ref === "" ? `diff-${randomBytes(8).toString("hex")}` : ref;
  await untilFree(content, name, { namespace, patienceMs, signal: call.signal });
  await using writer = await content.writer(namespace, name, {});
  if (writer.offsetBytes > 0n) await writer.truncate(0n);
  for await (const chunk of createReadStream(file)) await writer.write(chunk as Buffer, call);
  const digest = await writer.digest();
  const size = writer.offsetBytes;
  const kept = checkedLabels(`content "${digest}"`, { ...labels, [plainDigestLabel]: diffId });
  using _hold = await garbage.hold(namespace, call);
  await holdForCaller(leases, namespace, call, { type: "content", id: digest });
  try {
    await writer.commit({ labels: kept });
  } catch (error) {
    if (!isFault(error, "ALREADY_EXISTS")) throw error;
  }
  return { digest, size };
}
