// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from "node:crypto";
import { readdir, readlink, stat } from "node:fs/promises";
import path from "node:path";
import type { SecureContext } from "node:tls";
import { readBounded } from "../../base/read-bounded.ts";
import { trusting } from "./trusting.ts";

/** Certificate authorities, ready to check servers with. */
export interface Authorities {
  /** PEM, one certificate each. */
  readonly certificates: readonly string[];
  /** TLS that trusts these and no others. Made once: each new one costs the main thread some 10 ms. */
  readonly context: SecureContext;
}

/** The places where distributions keep all of them in one file, as Go's programs look; the first that is there counts. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Gentoo
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora, RHEL 6
  "/etc/ssl/ca-bundle.pem", // openSUSE
  "/etc/pki/tls/cacert.pem", // OpenELEC
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
  "/etc/ssl/cert.pem", // Alpine
] as const;
const folders = ["/etc/ssl/certs", "/etc/pki/tls/certs"] as const;
/** Links to these are in Debian's bundle too: reading each again would cost the first pull 40 ms. */
const bundled = "/usr/share/ca-certificates/";
const maxFileBytes = 16 * 1024 * 1024;
const maxFiles = 4096;
const readAtOnce = 4;

interface Places {
  /** By the environment. */
  readonly areTold: boolean;
  readonly bundles: readonly string[];
  readonly folders: readonly string[];
}

interface Known extends Authorities {
  readonly places: string;
  /** What is looked at to see a change: bundles, folders, and files that lie in those themselves. */
  readonly watched: readonly string[];
  readonly stamp: string;
}

let known: Known | undefined;
const reading = new Map<string, Promise<Known>>();

/**
 * The authorities that this system trusts: those of SSL_CERT_FILE, or of the distribution's file, with those of the
 * folders of SSL_CERT_DIR ("A:B"), or the distribution's. Node's own list stands in where no such file is, and that of
 * NODE_EXTRA_CA_CERTS counts in any case. Kept until one of the files or folders changes.
 */
export async function systemAuthorities(
  env: Readonly<Record<string, string | undefined>>,
): Promise<Authorities> {
  const places = placesOf(env);
  const key = JSON.stringify(places);
  if (known?.places === key && known.stamp === (await stampOf(known.watched))) return known;
  const run = reading.get(key) ?? read(places, key).finally(() => reading.delete(key));
  reading.set(key, run);
  known = await run;
  return known;
}

function placesOf(env: Readonly<Record<string, string | undefined>>): Places {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: dirs } = env;
  return {
    areTold: Boolean(file || dirs),
    bundles: file ? [file] : bundles,
    folders: dirs ? dirs.split(":").filter((dir) => dir !== "") : folders,
  };
}

async function read(places: Places, key: string): Promise<Known> {
  const { getCACertificates } = await import("node:tls");
  const skipsBundled = places.bundles.some((file) => file === bundles[0]);
  const listed = places.folders.map((folder) => filesIn(folder, skipsBundled));
  const found = (await Promise.all(listed)).flat().slice(0, maxFiles);
  const own = found.filter(({ isLink }) => !isLink).map(({ file }) => file);
  const watched = [...places.bundles, ...places.folders, ...own];
  const stamp = await stampOf(watched);
  let bundle: string[] = [];
  for (const file of places.bundles) {
    bundle = await certificatesOf(file);
    if (bundle.length > 0) break;
  }
  // "default" has those of "extra" too. Whoever says which authorities count does not get others.
  const standsIn = bundle.length === 0 && !places.areTold;
  const ofNode = getCACertificates(standsIn ? "default" : "extra");
  const all = new Set([...bundle, ...ofNode.flatMap(certificatesIn)]);
  const rest = found.values();
  const readSome = async (): Promise<void> => {
    for (const { file } of rest) for (const one of await certificatesOf(file)) all.add(one);
  };
  await Promise.all(Array.from({ length: readAtOnce }, readSome));
  const certificates = [...all];
  return {
    certificates,
    context: await contextOf(certificates),
    places: key,
    watched,
    stamp,
  };
}

async function contextOf(certificates: string[]): Promise<SecureContext> {
  try {
    return await trusting({ ca: certificates });
  } catch {
    // One that is none spoils all of them.
    return trusting({ ca: certificates.filter(isCertificate) });
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/** A folder's files, but for links from one to another: those are the same again. */
async function filesIn(
  folder: string,
  skipsBundled: boolean,
): Promise<{ file: string; isLink: boolean }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files: { file: string; isLink: boolean }[] = [];
  for (const entry of entries) {
    const file = path.join(folder, entry.name);
    const isLink = entry.isSymbolicLink();
    const target = isLink ? await readlink(file).catch(() => "") : "/";
    if (!target.includes("/") || (skipsBundled && target.startsWith(bundled))) continue;
    if (isLink || entry.isFile()) files.push({ file, isLink });
  }
  return files;
}

/** The certificates of a PEM file, each as it would be written again; none of a file that cannot be read. */
async function certificatesOf(file: string): Promise<string[]> {
  const text = await readBounded(file, maxFileBytes, { follow: true }).then(String, () => "");
  return certificatesIn(text);
}

/** Exported for hosts' own files: what stands between the lines of PEM certificates. */
export function certificatesIn(text: string): string[] {
  const blocks = text.matchAll(
    /-----BEGIN CERTIFICATE-----([\sA-Za-z0-9+/=]*)-----END CERTIFICATE-----/g,
  );
  return Array.from(blocks, ([, body = ""]) => {
    const lines = body.replace(/\s+/g, "").replace(/.{64}(?=.)/g, "$&\n");
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----`;
  });
}

async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = await Promise.all(files.map(stampOfFile));
  return stamps.join(" ");
}

async function stampOfFile(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch {
    return "none";
  }
}
