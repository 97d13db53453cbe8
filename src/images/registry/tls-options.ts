// SPDX-License-Identifier: Apache-2.0
import type { SecureContext } from "node:tls";
import { fault } from "../../base/errors.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { systemWords } from "../../base/system-words.ts";
import type { TlsFiles } from "./hosts.ts";
import { type Authorities, certificatesIn } from "./system-authorities.ts";
import { trusting } from "./trusting.ts";

const maxPemBytes = 16 * 1024 * 1024;

/** What a host's TLS files hold, in PEM. */
export interface TlsTexts {
  readonly skipVerify: boolean;
  readonly ca: readonly string[];
  readonly client: readonly (readonly [cert: string, key: string])[];
}

/** TLS with a host, and with those that it redirects to. */
export interface TlsContexts {
  readonly rejectUnauthorized: boolean;
  readonly own: SecureContext;
  /** The same authorities, and no client certificate. */
  readonly others: SecureContext;
}

/** Reads a host's files; FAILED_PRECONDITION for one that cannot be read, or is no certificate where it should be one. */
export async function readTlsFiles({ named, skipVerify, ca, client }: TlsFiles): Promise<TlsTexts> {
  const by = (key: string): string => (named === undefined ? "" : `, which is ${key} in ${named}`);
  const pairs = client.map((pair) =>
    Promise.all([read(pair[0], by("client")), read(pair[1], by("client"))]),
  );
  return {
    skipVerify,
    ca: (await Promise.all(ca.map((file) => readAuthorities(file, by("ca"))))).flat(),
    client: await Promise.all(pairs),
  };
}

/** A host's TLS; FAILED_PRECONDITION for certificates and keys that are none, or do not fit each other. */
export async function tlsContexts(
  { skipVerify, ca, client }: TlsTexts,
  system: Authorities,
): Promise<TlsContexts> {
  try {
    // Naming an authority replaces all others, which are added for that reason.
    const authorities = { ca: [...system.certificates, ...ca] };
    const others = ca.length > 0 ? await trusting(authorities) : system.context;
    const [cert, key] = [client.map(([one]) => one), client.map(([, one]) => one)];
    const own = client.length > 0 ? await trusting({ ...authorities, cert, key }) : others;
    return { rejectUnauthorized: !skipVerify, own, others };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw fault("FAILED_PRECONDITION", `its certificates or keys cannot be used: ${why}`, {
      cause: error,
    });
  }
}

async function readAuthorities(file: string, by: string): Promise<string[]> {
  const found = certificatesIn(await read(file, by));
  if (found.length > 0) return found;
  throw fault("FAILED_PRECONDITION", `"${file}"${by && `${by},`} has no certificate`);
}

/** `by` tells who names the file. */
async function read(file: string, by: string): Promise<string> {
  try {
    return String(await readBounded(file, maxPemBytes, { follow: true }));
  } catch (error) {
    const why = systemWords(error) ?? (error instanceof Error ? error.message : String(error));
    throw fault("FAILED_PRECONDITION", `cannot read "${file}"${by}: ${why}`, { cause: error });
  }
}
