// SPDX-License-Identifier: Apache-2.0
import type https from "node:https";
import { fault } from "../../base/errors.ts";
import { readBounded } from "../../base/read-bounded.ts";
import type { TlsFiles } from "./hosts.ts";

const maxPemBytes = 16 * 1024 * 1024;

/**
 * The TLS settings of a host, from its files; FAILED_PRECONDITION for one that cannot be read. `others` are for
 * servers that the host redirects to: the same authorities, and no client certificate.
 */
export async function tlsOptions({
  skipVerify,
  ca,
  client,
}: TlsFiles): Promise<{ readonly own: https.AgentOptions; readonly others: https.AgentOptions }> {
  const others: https.AgentOptions = { rejectUnauthorized: !skipVerify };
  if (ca.length > 0) {
    // Naming an authority replaces the built-in ones, which are added for that reason.
    const { getCACertificates } = await import("node:tls");
    others.ca = [...getCACertificates("default"), ...(await Promise.all(ca.map(read)))];
  }
  if (client.length === 0) return { own: others, others };
  const cert = await Promise.all(client.map(([file]) => read(file)));
  const key = await Promise.all(client.map(([, file]) => read(file)));
  return { own: { ...others, cert, key }, others };
}

async function read(file: string): Promise<string> {
  try {
    return String(await readBounded(file, maxPemBytes, { follow: true }));
  } catch (error) {
    throw fault("FAILED_PRECONDITION", `cannot read "${file}"`, { cause: error });
  }
}
