// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { type FaultCode, fault, type RuntimeFault } from "../../base/errors.ts";
import { errorText } from "./error-text.ts";
import { type HttpAnswer, readBody } from "./http-answer.ts";
import { registryLimits } from "./limits.ts";
import { isPassingStatus, passing } from "./patience.ts";
import { throughText } from "./proxies.ts";
import { isStaleRedirect } from "./redirect.ts";
import { ofRegistry } from "./registry-fault.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { TransferWatch } from "./transfer-watch.ts";

/**
 * An error answer to a question at `asked` as a fault, with the registry's own words. `what` begins its message. Who was
 * redirected to an address that was signed for a time gets another one later.
 */
export async function refusalOf(
  answer: HttpAnswer,
  what: string,
  { asked, secrets }: { readonly asked: URL; readonly secrets: readonly string[] },
  call: Cancellable,
): Promise<RuntimeFault> {
  const said = await wordsOf(answer, secrets, call);
  const { status } = answer;
  const why =
    status === 404
      ? "not found"
      : status === 401
        ? "authentication required"
        : status === 403
          ? "access denied"
          : `status ${status}`;
  const isElsewhere = answer.url.origin !== asked.origin;
  const where = isElsewhere ? `, redirected to "${answer.url.host}"` : "";
  const begin = `${what}${where}${throughText(answer.proxy)}`;
  const mayPass = isPassingStatus(status) || (status !== 404 && isStaleRedirect(answer, asked));
  const details = { ...ofRegistry, refused: true, status, ...(mayPass && passing(waitOf(answer))) };
  return fault(codeOf(status), `${begin}: ${why}${said && `: ${said}`}`, { details });
}

/** Whether a host answered with a status that stands for an error. */
export function isRefusal({ details }: RuntimeFault): boolean {
  return details?.["refused"] === true;
}

/** How long the server of an answer wants to be left alone, in milliseconds. */
export function waitOf({ headers }: HttpAnswer): number | undefined {
  return parseRetryAfter(headers, Date.now());
}

function codeOf(status: number): FaultCode {
  if (status === 401) return "UNAUTHENTICATED";
  if (status === 403) return "PERMISSION_DENIED";
  if (status === 404) return "NOT_FOUND";
  return isPassingStatus(status) || status >= 500 ? "UNAVAILABLE" : "UNKNOWN";
}

/** What an error's body says, in one line; "" when that is nothing, or takes too long. `secrets` are never quoted. */
export async function wordsOf(
  answer: HttpAnswer,
  secrets: readonly string[],
  { signal }: Cancellable,
): Promise<string> {
  using watch = new TransferWatch({ what: "error", windowMs: 0, totalMs: 5_000 });
  try {
    const body = await readBody(answer, {
      maxBytes: registryLimits.errorBytes,
      signal: AbortSignal.any([signal, watch.signal]),
      isCut: true,
    });
    return errorText(body, secrets);
  } catch {
    signal.throwIfAborted();
    return "";
  }
}
