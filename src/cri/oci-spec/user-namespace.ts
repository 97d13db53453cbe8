// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import { invalid, unsupported } from "../../base/invalid-field.ts";
import type { IDMapping, UserNamespace } from "../../gen/cri.gen.ts";
import type { OciIdMapping } from "../../oci/spec.ts";
import type { RuntimeFeatures } from "./ports.ts";

const field = "linux.security_context.namespace_options.userns_options";

/** Mappings of a pod with a user namespace of its own; undefined when it shares the host's. */
export interface UserMappings {
  readonly uids: OciIdMapping[];
  readonly gids: OciIdMapping[];
}

/**
 * Checks userns_options: mode POD with exactly one uid and one gid mapping, or NODE with none. No
 * options at all mean the host's namespace. The other modes do not exist for user namespaces.
 */
export function userMappings(
  options: UserNamespace | null | undefined,
  features: Pick<RuntimeFeatures, "userNamespaces">,
): UserMappings | undefined {
  if (options === null || options === undefined) return undefined;
  switch (options.mode) {
    case "NODE":
      if (options.uids.length + options.gids.length > 0) {
        throw invalid(field, "mode NODE takes no mappings");
      }
      return undefined;
    case "POD": {
      const mappings = {
        uids: single(options.uids, "uids"),
        gids: single(options.gids, "gids"),
      };
      if (!features.userNamespaces) {
        throw unsupported(field, "the runtime handler cannot run user namespaces");
      }
      return mappings;
    }
    default:
      throw invalid(`${field}.mode`, `${options.mode} is not supported for user namespaces`);
  }
}

/** A container can only be in its sandbox's user namespace, so it must ask for exactly that. */
export function checkSameUserNamespace(
  container: UserNamespace | null | undefined,
  sandbox: UserNamespace | null | undefined,
): void {
  if (!isDeepStrictEqual(effective(container), effective(sandbox))) {
    throw invalid(field, "differs from the sandbox's user namespace");
  }
}

function effective(options: UserNamespace | null | undefined): UserNamespace {
  return options ?? { mode: "NODE", uids: [], gids: [] };
}

function single(mappings: readonly IDMapping[], name: string): OciIdMapping[] {
  const [only, ...rest] = mappings;
  if (only === undefined || rest.length > 0) {
    throw invalid(`${field}.${name}`, `exactly one mapping is needed, not ${mappings.length}`);
  }
  if (only.length === 0) throw invalid(`${field}.${name}`, "the mapping's length is 0");
  return [toOciMapping(only)];
}

export function toOciMapping({ containerId, hostId, length }: IDMapping): OciIdMapping {
  return { containerID: containerId, hostID: hostId, size: length };
}
