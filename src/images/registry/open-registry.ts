// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../base/logger.ts";
import { childEnvironment } from "../../base/process.ts";
import type { ImagesConfig, RegistryConfig } from "../../config/config.ts";
import type { DocumentReader } from "../manifest/document-reader.ts";
import type { RegistryAuth } from "../ports.ts";
import type { Reference } from "../reference.ts";
import { readCredentials } from "./credentials.ts";
import { registryHosts } from "./hosts.ts";
import type { Patience } from "./patience.ts";
import { readProxies } from "./proxies.ts";
import { PushClient } from "./push-client.ts";
import { RegistryClient } from "./registry-client.ts";
import { systemAuthorities } from "./system-authorities.ts";

export interface RegistrySettings {
  /** Looked at for each pull, as is `registry`. */
  readonly config: Pick<ImagesConfig, "pullProgressTimeoutMs">;
  readonly registry: RegistryConfig;
  /** Tests have less. */
  readonly patience?: Patience;
  readonly documents: DocumentReader;
  readonly log: Logger;
}

/**
 * The client for one pull, with the hosts that are configured for the reference's registry. Broken credentials are
 * refused, whichever host they are for.
 */
export async function openRegistry(
  reference: Reference,
  auth: RegistryAuth | undefined,
  { config, registry, patience, documents, log }: RegistrySettings,
): Promise<RegistryClient> {
  if (auth) readCredentials(auth);
  const env = childEnvironment(undefined);
  return RegistryClient.create({
    reference,
    hosts: await registryHosts(registry.configPath, reference.domain, onceTo(log)),
    network: { proxies: readProxies(registry, env), authorities: () => systemAuthorities(env) },
    auth,
    progressTimeoutMs: config.pullProgressTimeoutMs,
    ...(patience && { patience }),
    documents,
    log,
  });
}

/** The same for one push. */
export async function openPush(
  reference: Reference,
  auth: RegistryAuth | undefined,
  { config, registry, patience, log }: Omit<RegistrySettings, "documents">,
): Promise<PushClient> {
  if (auth) readCredentials(auth);
  const env = childEnvironment(undefined);
  return new PushClient({
    reference,
    hosts: await registryHosts(registry.configPath, reference.domain, onceTo(log)),
    network: { proxies: readProxies(registry, env), authorities: () => systemAuthorities(env) },
    auth,
    progressTimeoutMs: config.pullProgressTimeoutMs,
    ...(patience && { patience }),
  });
}

/** Sentences that were logged: each pull reads the files anew. */
const told = new Set<string>();
const maxTold = 256;

function onceTo(log: Logger): (sentence: string) => void {
  return (sentence) => {
    if (told.has(sentence)) return;
    if (told.size >= maxTold) told.clear();
    told.add(sentence);
    log.warn({}, sentence);
  };
}
