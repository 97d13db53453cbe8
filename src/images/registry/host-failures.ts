// SPDX-License-Identifier: Apache-2.0
import { fault, isFault, type RuntimeFault } from "../../base/errors.ts";
import { mayBePlain } from "./connection-words.ts";
import type { RegistryHost } from "./hosts.ts";
import { isUnreached } from "./http-client.ts";
import { isPassing } from "./patience.ts";

/** What hosts said in place of what they were asked for. */
export type HostFailures = ReadonlyMap<RegistryHost, RuntimeFault>;

/** The beginning of a message about one host; `image` by its canonical name. */
export function pullFrom(image: string, host: RegistryHost): string {
  return `cannot pull "${image}" ${fromHost(host)}`;
}

/**
 * One error for what all hosts said, in the order that they are configured in: it names image and each host. Its code,
 * and what it says first, are those of the last host, which is the registry itself. Where that cannot be reached, a
 * mirror's refusal says more than that, and that it is busy.
 */
export function pullFailure(
  image: string,
  hosts: readonly RegistryHost[],
  failures: HostFailures,
): RuntimeFault {
  const all = hosts.flatMap((host) => {
    const error = failures.get(host);
    return error ? [{ host, error }] : [];
  });
  // That a server which may speak either speaks no TLS is nothing to tell once it was asked without.
  const said = all.filter(
    ({ host, error }) =>
      !mayBePlain(host, error) || all.every((other) => other.host.plainOf !== host.base),
  );
  const own = said.at(-1);
  if (!own) return fault("FAILED_PRECONDITION", `cannot pull "${image}": no host can be asked`);
  const refusal = said.findLast(({ error }) =>
    isFault(error, "UNAUTHENTICATED", "PERMISSION_DENIED"),
  );
  const busy = said.findLast(({ error }) => isPassing(error));
  const first = isUnreached(own.error) ? (refusal ?? busy ?? own) : own;
  const begin = clauseOf(image, first.host, first.error);
  const others = said.filter((one) => one !== first);
  const rest = others.map(({ host, error }) => clauseOf(image, host, error));
  const { code, details } = first.error;
  return fault(code, `cannot pull "${image}" ${[begin, ...rest].join("; ")}`, {
    cause: first.error,
    ...(details && { details }),
  });
}

function clauseOf(image: string, host: RegistryHost, { message }: RuntimeFault): string {
  const begin = pullFrom(image, host);
  const why = message.startsWith(begin) ? message.slice(begin.length) : `: ${message}`;
  return `${fromHost(host)}${why}`;
}

function fromHost({ base }: RegistryHost): string {
  return `from "${new URL(base).host}"`;
}
