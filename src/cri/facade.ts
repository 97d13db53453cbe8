// SPDX-License-Identifier: Apache-2.0
import type { ContainerConfig } from "../gen/cri.gen.ts";
import { Attempts } from "./lifecycle/attempts.ts";
import { type CriParts, createParts } from "./parts.ts";
import type { RuntimeServicePorts } from "./ports.ts";

export type { Verb } from "./runtime-service/verb.ts";

/** What two CreateContainer requests of one name must agree in. */
export interface CreateRequest {
  readonly sandboxId: string;
  readonly config: ContainerConfig;
}

/** The parts as verbs took them that do not say yet what they use. Goes with the last of those. */
export interface Facade extends CriParts {
  readonly ports: RuntimeServicePorts;
  readonly containerAttempts: Attempts<CreateRequest>;
}

export function createFacade(ports: RuntimeServicePorts, lifetime: AbortSignal): Facade {
  const parts = createParts(ports, lifetime);
  return Object.assign(parts, {
    ports,
    containerAttempts: new Attempts<CreateRequest>(lifetime),
  });
}
