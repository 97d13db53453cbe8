// SPDX-License-Identifier: Apache-2.0
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { deadline } from "../../base/deadline.ts";
import { toFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { within } from "../../base/waits.ts";
import {
  plainMember,
  tarEnd,
  tarHeader,
  tarPadding,
  tarTime,
} from "../../images/tar/tar-writer.ts";
import { checksNamed } from "../checks.ts";
import type { Patient } from "../patient.ts";
import { runChecks } from "../run-checks.ts";
import { hideKnown } from "./known-secrets.ts";
import { json, type Part, parts } from "./parts.ts";
import { Scrubber } from "./scrubber.ts";

const partMs = 25_000;
/** Of one part; the end of a longer one is kept, which is where a log has its news. */
const mostBytes = 16 * 1024 * 1024;

export interface SupportArchive {
  /** A tar, compressed with gzip. */
  readonly bytes: Buffer;
  readonly names: readonly string[];
  /** Parts that could not be had, each with why. */
  readonly missing: readonly string[];
  /** Something hangs, and the process must not wait for it. */
  readonly hangs: boolean;
}

/** Packs what a bug report needs, without secrets. What cannot be had is told, in the archive too. */
export async function packSupport(patient: Patient, name: string): Promise<SupportArchive> {
  const scrubber = new Scrubber();
  await hideKnown(patient, scrubber);
  let hangs = false;
  const doctor: Part = {
    name: "doctor.json",
    read: async () => {
      const results = await runChecks(checksNamed([]), patient);
      hangs ||= results.some((result) => result.hangs);
      return json(results.map(({ check, findings }) => ({ check, findings })));
    },
  };
  const missing: string[] = [];
  const read = async (part: Part): Promise<readonly [string, string] | undefined> => {
    try {
      using limit = deadline(partMs, "it");
      const text = await within(part.read(patient, limit), partMs + 1000);
      if (text !== undefined) return [part.name, text];
      hangs = true;
      missing.push(`${part.name}: it did not come in ${partMs / 1000} s`);
    } catch (error) {
      missing.push(`${part.name}: ${scrubber.clean(toFault(error).message)}`);
    }
    return undefined;
  };
  const got = (await Promise.all([doctor, ...parts].map(read))).filter((one) => one !== undefined);
  const all = [...got, ["missing.txt", missing.map((line) => `${line}\n`).join("")] as const];
  const members = all.map(([file, text]) => {
    // Before anything is cut off: a part of a secret is secret too.
    const cleaned = scrubber.clean(text).slice(-mostBytes);
    return member(`${name}/${file}`, Buffer.from(cleaned));
  });
  const bytes = await promisify(gzip)(Buffer.concat([...members, tarEnd]));
  return { bytes, names: all.map(([file]) => file), missing, hangs };
}

function member(name: string, data: Buffer): Buffer {
  const mtime = tarTime(nowNanos());
  const header = tarHeader({
    ...plainMember,
    type: "file",
    name,
    mode: 0o600,
    size: data.length,
    mtime,
  });
  return Buffer.concat([header, data, tarPadding(data.length)]);
}
