// SPDX-License-Identifier: Apache-2.0
import type { SecureContext, SecureContextOptions } from "node:tls";

/**
 * TLS that takes the certificates that Go's programs take, for whom registries are set up: any certificate that is
 * trusted ends a chain, also an authority in the middle of one or a server's own, and RSA keys may have 1024 bits.
 * OpenSSL wants a root, and 2048.
 */
export async function trusting(options: SecureContextOptions): Promise<SecureContext> {
  const { createSecureContext, DEFAULT_CIPHERS } = await import("node:tls");
  const ciphers = `${DEFAULT_CIPHERS}:@SECLEVEL=1`;
  return createSecureContext({ ...options, allowPartialTrustChain: true, ciphers });
}
