// SPDX-License-Identifier: Apache-2.0
import { errnoOf, RuntimeFault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";
import { systemWords } from "../../base/system-words.ts";
import type { RegistryHost } from "./hosts.ts";

/** What OpenSSL says of an answer that is no TLS: as a code, or as the words of an EPROTO. */
const noTls = /wrong.version.number|packet.length.too.long|http.request/i;

/** True for a host that was asked over TLS and answers in another protocol. */
export function speaksNoTls(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = errnoOf(at) ?? "";
    if (noTls.test(code === "EPROTO" ? at.message : code)) return true;
  }
  return false;
}

/** The same for a server that may speak either: what knows no TLS may also break the connection off, or wait for more. */
export function mayBePlain(host: Pick<RegistryHost, "tls">, error: unknown): boolean {
  if (speaksNoTls(error)) return true;
  if (host.tls.isUnverifiedHere !== true || !(error instanceof Error)) return false;
  const isLate = error instanceof RuntimeFault && error.details?.["connectTimedOut"] === true;
  return isLate || errnoOf(error.cause) === "ECONNRESET";
}

/** By the beginning of the code of a connection's error, the first that fits. */
const words: readonly (readonly [code: RegExp, words: string])[] = [
  [/^HPE_/, "its answer is no proper HTTP"],
  [
    /^UNABLE_TO_|SELF_SIGNED|^CERT_UNTRUSTED/,
    "its certificate is signed by an authority that is unknown here",
  ],
  [/^CERT_HAS_EXPIRED/, "its certificate has expired"],
  [/^CERT_NOT_YET_VALID/, "its certificate is not valid yet by this node's clock"],
  [/^ERR_TLS_CERT_ALTNAME/, "its certificate is for other names"],
  [/^(CERT_|INVALID_|PATH_LENGTH|UNSPECIFIED)/, "its certificate cannot be accepted"],
  [/CERTIFICATE_REQUIRED/, "it wants a client's certificate"],
  [/^ERR_SSL_.*ALERT/, "it refuses TLS with us"],
  [/^ENOTFOUND/, "there is no such name"],
  [/^EAI_/, "its name cannot be looked up now"],
];

/** The names that a server's certificate is for, which are a stranger's words. */
function namesOf(error: Error): string {
  const { cert } = error as { cert?: { subjectaltname?: string } };
  const names = (cert?.subjectaltname ?? "").replaceAll(/[^\x20-\x7e]/g, "?");
  const plain = names.replaceAll(/(^|, )(?:DNS|IP Address):/g, "$1");
  return plain === "" ? "none" : shortened(plain, 200);
}

/** Why a connection failed, in words and with its code: `connection refused (ECONNREFUSED)`. */
export function connectionWords(error: Error): string {
  const code = errnoOf(error);
  if (code === undefined) return error.message;
  const found = words.find(([begin]) => begin.test(code))?.[1];
  const said = speaksNoTls(error) ? "it speaks no TLS" : (found ?? systemWords(error));
  if (code.startsWith("ERR_TLS_CERT_ALTNAME")) return `${said}: ${namesOf(error)} (${code})`;
  return said === undefined ? code : `${said} (${code})`;
}
