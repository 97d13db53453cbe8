// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { digestProblem, isDigest } from "../content/digest.ts";
import type { Digest } from "../content/ports.ts";

/** An image's name, complete: `docker.io/library/busybox:latest`. */
export interface Reference {
  /** Host of the registry, with port: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** Path below it: `library/busybox`. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

const defaultDomain = "docker.io";
const domainPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const partPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const maxNameLength = 255;

/**
 * Reads an image name as people write it. What is missing is filled in as Docker does: the first part
 * is a host only when it has a dot, a colon or capitals, or is `localhost`; one part alone is below
 * `library/`; no tag and no digest means `latest`. INVALID_ARGUMENT for anything else.
 */
export function parseReference(text: string): Reference {
  if (/^[0-9a-f]{64}$/.test(text)) throw invalid(text, "an image id is not a name");
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(text, digest === "" ? "bad digest" : `bad digest, ${digestProblem(digest)}`);
  }
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(text, "bad tag");
  const { domain, repository } = splitName(hasTag ? named.slice(0, colon) : named);
  if (!domainPattern.test(domain)) throw invalid(text, "bad registry host");
  if (!repository.split("/").every((part) => partPattern.test(part))) {
    throw invalid(text, "bad repository");
  }
  if (domain.length + repository.length + 1 > maxNameLength) throw invalid(text, "too long");
  const isBare = tag === undefined && digest === undefined;
  return { domain, repository, tag: isBare ? "latest" : tag, digest };
}

/** `domain/repository`. */
export function repositoryName({ domain, repository }: Reference): string {
  return `${domain}/${repository}`;
}

/**
 * The name that image records use. A reference with tag and digest means the digest alone: the tag may point
 * elsewhere by now.
 */
export function canonicalName(reference: Reference): string {
  const name = repositoryName(reference);
  return reference.digest ? `${name}@${reference.digest}` : `${name}:${reference.tag}`;
}

function splitName(name: string): { domain: string; repository: string } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost =
    slash > 0 && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  if (!isHost) return { domain: defaultDomain, repository: inLibrary(name) };
  const rest = name.slice(slash + 1);
  if (first === defaultDomain || first === "index.docker.io") {
    return { domain: defaultDomain, repository: inLibrary(rest) };
  }
  return { domain: first, repository: rest };
}

function inLibrary(repository: string): string {
  return repository.includes("/") ? repository : `library/${repository}`;
}

function invalid(text: string, why: string): Error {
  return fault("INVALID_ARGUMENT", `invalid image reference "${text}": ${why}`);
}
