// SPDX-License-Identifier: Apache-2.0

import fs from "node:fs";
import { createSecureContext } from "node:tls";
import { fault } from "../base/errors.ts";
import { startInterval } from "../base/timers.ts";

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface CertificateEvents {
  onChange(certificate: Certificate): void;
  /** Called once for each change whose files cannot be used; the certificate that was read before stays. */
  onError(error: unknown): void;
}

const periodMs = 2000;

/** INVALID_ARGUMENT when a file is missing, is no PEM, or the two do not belong together. */
export function readCertificate({ certFile, keyFile }: CertificateFiles): Certificate {
  try {
    const certificate = { cert: fs.readFileSync(certFile), key: fs.readFileSync(keyFile) };
    createSecureContext(certificate);
    return certificate;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw fault("INVALID_ARGUMENT", `certificate "${certFile}" with key "${keyFile}": ${reason}`, {
      cause,
    });
  }
}

/**
 * Reads both files anew when either changed. They are polled: certificates are replaced in many ways (rename, a
 * symbolic link's target, a mounted volume), and inotify does not see all of them.
 */
export function watchCertificate(
  files: CertificateFiles,
  events: CertificateEvents,
  pollMs = periodMs,
): Disposable {
  let seen = fingerprint(files);
  const timer = startInterval(() => {
    const now = fingerprint(files);
    if (now === seen) return;
    seen = now;
    let certificate: Certificate;
    try {
      certificate = readCertificate(files);
    } catch (error) {
      events.onError(error);
      return;
    }
    events.onChange(certificate);
  }, pollMs).unref();
  return { [Symbol.dispose]: () => timer.stop() };
}

function fingerprint({ certFile, keyFile }: CertificateFiles): string {
  return [certFile, keyFile].map(stamp).join(" ");
}

function stamp(file: string): string {
  const stats = fs.statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? "-" : `${stats.ino}:${stats.size}:${stats.mtimeNs}`;
}
