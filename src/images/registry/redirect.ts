// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { HttpAnswer } from "./http-answer.ts";
import type { HttpRequest } from "./http-client.ts";
import { isSameServer } from "./same-server.ts";

export const redirectStatuses: readonly number[] = [301, 302, 303, 307, 308];

/** What stores answer to an address that was signed for a time which is over. */
const staleStatuses: readonly number[] = [400, 401, 403, 404, 410];

/** Whether who was asked has sent us on to an address that is not good, or not any more: asked anew, it gives another. */
export function isStaleRedirect({ status, url }: HttpAnswer, asked: URL): boolean {
  return url.href !== asked.href && staleStatuses.includes(status);
}

export function isRedirect({ status, headers }: HttpAnswer): boolean {
  return redirectStatuses.includes(status) && headers.location !== undefined;
}

/**
 * The next request, and its address. Another server (`isSameServer`) gets neither credentials nor the operator's
 * headers, and a redirect back to the first one does not bring them back. FAILED_PRECONDITION for a redirect that is
 * not followed: to no address, from https to http, of a login's form to another origin.
 */
export function followed(
  { status, headers, url: from }: HttpAnswer,
  request: HttpRequest,
): { readonly url: URL; readonly request: HttpRequest } {
  const url = URL.parse(headers.location ?? "", from);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw fault("FAILED_PRECONDITION", `"${from.host}" redirects to no address`);
  }
  const isPlain = from.protocol === "https:" && url.protocol === "http:";
  if (isPlain && request.redirects !== "any") {
    throw fault("FAILED_PRECONDITION", `"${from.host}" redirects to plain http at "${url.host}"`);
  }
  const isSame = isSameServer(from, url);
  const { body, method, ownHeaders = {}, ...rest } = request;
  const next = { ...rest, ownHeaders: isSame ? ownHeaders : {} };
  if (method === "GET" || method === "HEAD") return { url, request: { ...next, method } };
  // As in every client, only 307 and 308 repeat the request as it was.
  if (status !== 307 && status !== 308) {
    if (method === "POST") return { url, request: { ...next, method: "GET" } };
    throw fault("FAILED_PRECONDITION", `"${from.host}" redirects a ${method} by ${status}`);
  }
  // What an upload sends is what the registry wants, wherever it keeps it; a login's form is for nobody else.
  if (!isSame && method === "POST" && body !== undefined) {
    throw fault(
      "FAILED_PRECONDITION",
      `"${from.host}" redirects what was sent to it to "${url.host}": it is for nobody else`,
    );
  }
  return { url, request: { ...next, method, ...(body !== undefined && { body }) } };
}
