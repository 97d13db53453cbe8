// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";

/** How to know a streaming server with TLS. */
export interface TlsOptions {
  /** PEM of the authority that signed the streaming server's certificate. */
  readonly ca?: Buffer;
  /** The name that the certificate is for, where it is not that of the URL. */
  readonly servername?: string;
}

/** Reads the files that the TLS flags name. */
export async function readTls(flags: {
  readonly tlsCa?: string;
  readonly tlsServerName?: string;
}): Promise<TlsOptions> {
  return {
    ...(flags.tlsCa === undefined ? {} : { ca: await readFile(flags.tlsCa) }),
    ...(flags.tlsServerName === undefined ? {} : { servername: flags.tlsServerName }),
  };
}
