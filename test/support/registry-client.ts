// SPDX-License-Identifier: Apache-2.0
import { silentLogger } from "../../src/base/logger.ts";
import { DocumentReader } from "../../src/images/manifest/document-reader.ts";
import type { RegistryAuth } from "../../src/images/ports.ts";
import { parseReference } from "../../src/images/reference.ts";
import { parseHosts } from "../../src/images/registry/hosts.ts";
import { type Patience, registryPatience } from "../../src/images/registry/patience.ts";
import { RegistryClient } from "../../src/images/registry/registry-client.ts";
import { systemAuthorities } from "../../src/images/registry/system-authorities.ts";

/** As often as in earnest, without the waits. */
export const quickPatience: Patience = { ...registryPatience, delayMs: 2, maxDelayMs: 5 };

const documents = new DocumentReader();

/** The client of one pull, without a proxy; `hostsToml` as the registry's folder would have it. */
export function openClient(
  reference: string,
  options: {
    readonly auth?: RegistryAuth;
    readonly hostsToml?: string;
    readonly patience?: Patience;
    readonly progressTimeoutMs?: number;
  } = {},
): Promise<RegistryClient> {
  const { auth, hostsToml = "", patience = quickPatience, progressTimeoutMs = 10_000 } = options;
  const parsed = parseReference(reference);
  return RegistryClient.create({
    reference: parsed,
    hosts: parseHosts(hostsToml, "/etc/certs.d/x", parsed.domain),
    network: { proxies: () => undefined, authorities: () => systemAuthorities({}) },
    auth,
    progressTimeoutMs,
    patience,
    documents,
    log: silentLogger,
  });
}
