// SPDX-License-Identifier: Apache-2.0
import type { AuthConfig } from "../../gen/cri.gen.ts";
import type { RegistryAuth } from "../../images/ports.ts";

/** Without the fields that protobuf fills with ""; undefined when nothing is left. */
export function registryAuth(config: AuthConfig): RegistryAuth | undefined {
  const given = Object.entries({
    username: config.username,
    password: config.password,
    auth: config.auth,
    identityToken: config.identityToken,
    registryToken: config.registryToken,
    serverAddress: config.serverAddress,
  }).filter(([, value]) => value !== "");
  return given.length === 0 ? undefined : (Object.fromEntries(given) as RegistryAuth);
}
