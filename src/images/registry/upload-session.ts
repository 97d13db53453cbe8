// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Digest } from "../../content/ports.ts";
import type { HttpAnswer } from "./http-answer.ts";

/** Where an upload goes on, as the registry has told it last. */
export interface UploadSession {
  readonly url: URL;
  /** The shortest piece that it takes, but for the last; 0 for any. */
  readonly leastBytes: number;
}

/** Nobody's pieces need to be longer: a registry that asks for more gets the whole blob in one. */
const mostLeastBytes = 1024 * 1024 * 1024;

/**
 * What an answer says of the upload that it belongs to; `known` is what was said before. A registry behind a proxy that
 * ends its TLS may tell addresses of plain http: of the same server they are taken as TLS. FAILED_PRECONDITION for an
 * answer without a place, and for one that leads from https to http at another server.
 */
export function sessionOf(answer: HttpAnswer, known?: UploadSession): UploadSession {
  const { headers, url: asked } = answer;
  const leastBytes = least(headers["oci-chunk-min-length"]) ?? known?.leastBytes ?? 0;
  const text = headers.location;
  if (text === undefined && known) return { ...known, leastBytes };
  const url = text === undefined ? null : URL.parse(text, asked);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw fault("FAILED_PRECONDITION", `"${asked.host}" names no place for an upload`);
  }
  if (asked.protocol === "https:" && url.protocol === "http:") {
    if (url.hostname !== asked.hostname) {
      throw fault(
        "FAILED_PRECONDITION",
        `"${asked.host}" sends uploads to plain http at "${url.host}"`,
      );
    }
    url.protocol = asked.protocol;
    url.port = asked.port;
  }
  return { url, leastBytes };
}

/** Where the whole blob is claimed: the place's own query stays as it is, it may be signed. */
export function completionUrl({ url }: UploadSession, digest: Digest): URL {
  const complete = new URL(url);
  const name = `digest=${encodeURIComponent(digest)}`;
  complete.search = url.search === "" ? `?${name}` : `${url.search}&${name}`;
  return complete;
}

/** How many bytes a registry says that it has of an upload; undefined where it does not say. */
export function receivedOf({ headers }: HttpAnswer): number | undefined {
  const { range } = headers;
  const match = typeof range === "string" ? /^(?:bytes[= ])?0-(\d{1,15})$/.exec(range) : null;
  if (!match) return undefined;
  const last = Number(match[1]);
  return last === 0 ? 0 : last + 1; // of none, some say 0-0 too
}

function least(header: string | string[] | undefined): number | undefined {
  if (typeof header !== "string" || !/^\d{1,12}$/.test(header)) return undefined;
  return Math.min(Number(header), mostLeastBytes);
}
