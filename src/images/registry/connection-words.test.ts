// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionWords } from "./connection-words.ts";

const cases: readonly (readonly [code: string | undefined, message: string, said: string])[] = [
  [
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "",
    "its certificate is signed by an authority that is unknown here (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
  ],
  [
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "",
    "its certificate is signed by an authority that is unknown here (DEPTH_ZERO_SELF_SIGNED_CERT)",
  ],
  ["CERT_HAS_EXPIRED", "", "its certificate has expired (CERT_HAS_EXPIRED)"],
  ["UNSPECIFIED", "", "its certificate cannot be accepted (UNSPECIFIED)"],
  [
    "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "",
    "it wants a client's certificate (ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED)",
  ],
  ["EPROTO", "write EPROTO 00:error:wrong version number", "it speaks no TLS (EPROTO)"],
  ["HPE_INVALID_CONSTANT", "Parse Error", "its answer is no proper HTTP (HPE_INVALID_CONSTANT)"],
  ["ENOTFOUND", "getaddrinfo ENOTFOUND x", "there is no such name (ENOTFOUND)"],
  ["EODD", "odd", "EODD"],
  [undefined, "socket hang up", "socket hang up"],
];

for (const [code, message, said] of cases) {
  test(`${code ?? message} is told in words`, () => {
    const error = Object.assign(new Error(message), code !== undefined && { code });
    assert.equal(connectionWords(error), said);
  });
}

test("a system call's error is told in the system's words", () => {
  const error = Object.assign(new Error("connect ECONNREFUSED"), {
    code: "ECONNREFUSED",
    errno: -111,
    syscall: "connect",
  });
  assert.equal(connectionWords(error), "connection refused (ECONNREFUSED)");
});

test("a certificate for other names is told with these", () => {
  const code = "ERR_TLS_CERT_ALTNAME_INVALID";
  const subjectaltname = "DNS:a.test, DNS:*.b.test, IP Address:10.0.0.1";
  const error = Object.assign(new Error("Hostname/IP does not match"), { code });
  const begin = "its certificate is for other names";
  assert.equal(connectionWords(error), `${begin}: none (${code})`);
  assert.equal(
    connectionWords(Object.assign(error, { cert: { subjectaltname } })),
    `${begin}: a.test, *.b.test, 10.0.0.1 (${code})`,
  );
});
