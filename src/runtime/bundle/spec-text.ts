// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";

// The spec is handled as text where that will do: parsing it and writing it again would round the
// 64-bit numbers in it (rlimits of 2^64-1, memory limits), and costs time on every start.
const cgroupsKey = '"cgroupsPath"';
/** PATH_MAX; what is longer cannot be made. */
const longestPath = 4096;
/** Of a group; the next number stands for none. */
const highestId = 2 ** 32 - 2;
const oomScore = /("oomScoreAdj"\s*:\s*)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

/**
 * Raises every oomScoreAdj in an OCI spec or process (JSON) to at least `floor`. Answers the same
 * bytes when there is nothing to raise. The key cannot match inside a JSON string: a quote in there
 * is escaped.
 */
export function clampOomScore(spec: Uint8Array, floor: number): Uint8Array {
  const bytes = asBuffer(spec);
  if (!bytes.includes('"oomScoreAdj"')) return spec;
  const before = bytes.toString("utf8");
  const after = before.replaceAll(oomScore, (_all, key: string, score: string) => {
    return `${key}${Math.max(Number(score), floor)}`;
  });
  return after === before ? spec : Buffer.from(after, "utf8");
}

/** The host's gid of the container's root when the spec has a user namespace. INVALID_ARGUMENT for what is no JSON. */
export function mappedRootGid(spec: Uint8Array): number | undefined {
  const bytes = asBuffer(spec);
  if (!bytes.includes('"gidMappings"')) return undefined;
  const parsed = parse(bytes.toString("utf8"));
  const linux = isRecord(parsed) ? parsed["linux"] : undefined;
  const mappings = isRecord(linux) ? linux["gidMappings"] : undefined;
  if (!Array.isArray(mappings)) return undefined;
  for (const mapping of mappings as unknown[]) {
    if (!isRecord(mapping) || mapping["containerID"] !== 0) continue;
    const gid = mapping["hostID"];
    return typeof gid === "number" && Number.isInteger(gid) && gid >= 0 && gid <= highestId
      ? gid
      : undefined;
  }
  return undefined;
}

/** linux.cgroupsPath of a spec; "" when it has none. INVALID_ARGUMENT for what is no JSON. */
export function cgroupsPath(spec: string): string {
  const parsed = parse(spec);
  const linux = isRecord(parsed) ? parsed["linux"] : undefined;
  const place = isRecord(linux) ? linux["cgroupsPath"] : undefined;
  return typeof place === "string" ? place : "";
}

/**
 * linux.cgroupsPath of a spec's bytes; "" when it has none. The key cannot match inside a JSON string, but
 * it can be an annotation's: where it is there twice, all is parsed.
 */
export function cgroupsPathIn(spec: Uint8Array): string {
  const bytes = asBuffer(spec);
  const at = bytes.indexOf(cgroupsKey);
  if (at < 0) return "";
  if (bytes.indexOf(cgroupsKey, at + 1) > 0) return cgroupsPath(bytes.toString("utf8"));
  const value = bytes.subarray(at + cgroupsKey.length, at + cgroupsKey.length + longestPath);
  const text = /^\s*:\s*("(?:[^"\\]|\\.)*")/.exec(value.toString("utf8"))?.[1];
  return text === undefined ? "" : String(parse(text));
}

/** A spec is a client's: that it is no JSON is the client's fault. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Without the cause, which the log would tell: it quotes the spec, and variables have secrets.
    throw fault("INVALID_ARGUMENT", "spec is no JSON");
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
