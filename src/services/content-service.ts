// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { compileFilters, labelField } from "../base/filter.ts";
import { parseDigest } from "../content/digest.ts";
import type { ContentInfo, ContentStore, IngestStatus } from "../content/ports.ts";
import type { ContentInfoInit, ContentStatusInit } from "../gen/content.gen.ts";
import { holdFoundForCaller, releaseForCaller } from "../metadata/caller-lease.ts";
import { packAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import { readContent } from "./content-read.ts";
import { writeContent } from "./content-write.ts";
import type { ContentServicePorts } from "./storage-ports.ts";
import { updatedLabels } from "./updated-labels.ts";

/** How many entries one message of a list carries. */
const perMessage = 100;

/** containerd's Content service: a namespace's view of the blobs, and its unfinished writes. */
export function createContentService(
  ports: ContentServicePorts,
): ServiceImpl<"containerd.services.content.v1.Content"> {
  const { content, events, garbage, leases } = ports;
  return {
    Info: async ({ digest }, call) => {
      const namespace = requiredNamespace(call);
      // A client that pulls skips a blob that it finds here, so its lease must hold it from now on.
      using _hold = await garbage.hold(namespace, call);
      const info = requiredInfo(content, digest, call);
      await holdFoundForCaller(leases, namespace, call, { type: "content", id: info.digest });
      return { info: infoMessage(info) };
    },
    Update: async ({ info, updateMask }, call) => {
      const namespace = requiredNamespace(call);
      if (!info) throw fault("INVALID_ARGUMENT", "content info is missing");
      using _hold = await garbage.hold(namespace, call);
      const { digest, labels: before } = requiredInfo(content, info.digest, call);
      const what = `content "${digest}"`;
      const labels = updatedLabels(what, updateMask?.paths ?? [], before, info.labels);
      return { info: infoMessage(await content.setLabels(namespace, digest, labels)) };
    },
    List: async function* ({ filters }, call) {
      const found = content
        .list(requiredNamespace(call))
        .filter(compileFilters(filters, contentField));
      for (let at = 0; at < found.length; at += perMessage) {
        yield { info: found.slice(at, at + perMessage).map(infoMessage) };
      }
    },
    Delete: async ({ digest }, call) => {
      const namespace = requiredNamespace(call);
      await content.delete(namespace, parseDigest(digest));
      await releaseForCaller(leases, namespace, call, { type: "content", id: digest });
      garbage.schedule(namespace);
      const event = packAny("containerd.events.ContentDelete", { digest });
      events.publish(namespace, "/content/delete", event);
      return {};
    },
    Read: (request, call) =>
      readContent(content, requiredInfo(content, request.digest, call), request, call),
    Status: async ({ ref }, call) => {
      const ingests = await content.ingests(requiredNamespace(call));
      const status = ingests.find((one) => one.ref === ref);
      if (!status) throw fault("NOT_FOUND", `ingest "${ref}" not found`);
      return { status: statusMessage(status) };
    },
    ListStatuses: async ({ filters }, call) => {
      const ingests = await content.ingests(requiredNamespace(call));
      return {
        statuses: ingests.filter(compileFilters(filters, ingestField)).map(statusMessage),
      };
    },
    Write: (requests, call) => writeContent(ports, requests, call),
    Abort: async ({ ref }, call) => {
      const namespace = requiredNamespace(call);
      await content.abort(namespace, ref, { evenWhileWritten: true });
      await releaseForCaller(leases, namespace, call, { type: "ingests", id: ref });
      return {};
    },
  };
}

/** The caller's namespace's view of a blob; NOT_FOUND when it has none. */
function requiredInfo(content: ContentStore, digest: string, call: CallContext): ContentInfo {
  const info = content.info(requiredNamespace(call), parseDigest(digest));
  if (!info) throw fault("NOT_FOUND", `content "${digest}" not found`);
  return info;
}

function infoMessage(info: ContentInfo): ContentInfoInit {
  return {
    digest: info.digest,
    size: info.sizeBytes,
    createdAt: timestampOf(info.createdAtNanos),
    updatedAt: timestampOf(info.updatedAtNanos),
    labels: info.labels,
  };
}

function statusMessage(status: IngestStatus): ContentStatusInit {
  return {
    ref: status.ref,
    offset: status.offsetBytes,
    total: status.totalBytes,
    expected: status.expected ?? "",
    startedAt: timestampOf(status.startedAtNanos),
    updatedAt: timestampOf(status.updatedAtNanos),
  };
}

function contentField(info: ContentInfo, path: readonly string[]): string | undefined {
  const [head] = path;
  if (head === "labels") return labelField(info.labels, path);
  if (path.length !== 1) return undefined;
  if (head === "digest") return info.digest;
  return head === "size" ? String(info.sizeBytes) : undefined;
}

function ingestField(status: IngestStatus, path: readonly string[]): string | undefined {
  return path.length === 1 && path[0] === "ref" ? status.ref : undefined;
}
