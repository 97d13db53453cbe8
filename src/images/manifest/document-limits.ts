// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { fieldOf } from "./go-json.ts";

// What a document may hold, whoever wrote it. What stays in memory of an image is its layers' digests, the settings
// of its process, and labels: some 400 KiB at most.

/** overlayfs takes 500 folders for one mount (OVL_MAX_STACK). */
const maxLayers = 500;
/** Platforms of an index, or images of an archive. */
const maxManifests = 5000;
const maxWords = 20_000;
/** Media types, platforms. */
export const maxNameChars = 1024;
/** Arguments and environment of the process. exec(2) takes 2 MiB of it by default, and 128 KiB in one piece. */
const maxProcessBytes = 256 * 1024;
/** containerd's limit for a label, name and value together, and ours for all labels. */
const maxLabelBytes = 4096;
const maxLabelsBytes = 128 * 1024;
/** Annotations of one entry of a layout's index. */
const maxAnnotationsBytes = 64 * 1024;

/** Refuses lists that are too long, before their entries are looked at. FAILED_PRECONDITION. */
export function checkCounts(value: unknown, what: string): void {
  const lists: readonly (readonly [at: string, limit: number])[] = [
    ["manifests", maxManifests],
    ["layers", maxLayers],
    ["rootfs.diff_ids", maxLayers],
    ["config.Env", maxWords],
    ["config.Entrypoint", maxWords],
    ["config.Cmd", maxWords],
    ["config.Volumes", maxWords],
    ["config.Labels", maxWords],
  ];
  for (const [at, limit] of lists) {
    let list = value;
    for (const name of at.split(".")) list = fieldOf(list, name);
    const count = Array.isArray(list) ? list.length : isRecord(list) ? Object.keys(list).length : 0;
    if (count <= limit) continue;
    throw fault("FAILED_PRECONDITION", `${what} has ${count} entries in ${at}, more than ${limit}`);
  }
}

/** Refuses arguments and environment that exec(2) would not take. FAILED_PRECONDITION. */
export function checkProcess(words: readonly string[], what: string): void {
  let bytes = 0;
  for (const word of words) bytes += Buffer.byteLength(word) + 8;
  if (bytes <= maxProcessBytes) return;
  throw fault(
    "FAILED_PRECONDITION",
    `${what} has ${bytes} bytes of environment, arguments and volumes, more than ${maxProcessBytes}`,
  );
}

/**
 * The labels that a container of the image gets. As in containerd, those that are too long for a container's record
 * are left out; inspection shows them in the document.
 */
export function usableLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  let total = 0;
  const isUsable = ([key, value]: [string, string]): boolean => {
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
    if (bytes > maxLabelBytes || total + bytes > maxLabelsBytes) return false;
    total += bytes;
    return true;
  };
  return Object.fromEntries(Object.entries(labels).filter(isUsable));
}

/** Refuses annotations that no image's record should hold. FAILED_PRECONDITION. */
export function checkAnnotations(
  annotations: Readonly<Record<string, string>>,
  what: string,
): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) bytes += key.length + value.length;
  if (bytes <= maxAnnotationsBytes) return;
  throw fault("FAILED_PRECONDITION", `${what} has ${bytes} bytes of annotations for one image`);
}
