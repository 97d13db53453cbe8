// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { getCACertificates } from "node:tls";
import { scratch } from "../../../test/support/scratch.ts";
import { certificatesIn, systemAuthorities } from "./system-authorities.ts";

/** Looks like a certificate. None of Node's, which may be in NODE_EXTRA_CA_CERTS too, as the machine's are. */
const pem = (word: string): string => {
  const body = Buffer.from(`certificate ${word}`).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----`;
};
const made = ["one", "two", "three", "four"].map(pem);
const [one = "", two = "", three = "", four = ""] = made;

/** Those of ours that an environment trusts. */
async function trusted(env: Record<string, string>): Promise<string[]> {
  const { certificates } = await systemAuthorities(env);
  return certificates.filter((one) => made.includes(one)).toSorted();
}

test("SSL_CERT_FILE and SSL_CERT_DIR are what the system trusts, and are read anew when they change", async () => {
  await using home = await scratch();
  const at = (name: string): string => path.join(home.path, name);
  const env = {
    SSL_CERT_FILE: at("bundle.pem"),
    SSL_CERT_DIR: `${await home.folder("a")}:${await home.folder("b")}`,
  };
  await writeFile(at("bundle.pem"), `# a comment\r\n${one.replaceAll("\n", "\r\n")}\r\n`);
  await writeFile(at("a/corp.pem"), two);
  await symlink("corp.pem", at("a/12345678.0"));
  await writeFile(at("elsewhere.pem"), three);
  await symlink(at("elsewhere.pem"), at("b/linked.pem"));
  await symlink("/nowhere", at("b/broken.pem"));
  await writeFile(at("a/note"), "no certificate");
  assert.deepEqual(await trusted(env), [one, two, three].toSorted());
  assert.equal(await systemAuthorities(env), await systemAuthorities(env));
  const { certificates } = await systemAuthorities(env);
  const [rootOfNode = ""] = getCACertificates("bundled").flatMap(certificatesIn);
  const extra = getCACertificates("extra").flatMap(certificatesIn);
  assert.equal(certificates.includes(rootOfNode), extra.includes(rootOfNode));
  await writeFile(at("a/corp.pem"), four);
  assert.deepEqual(await trusted(env), [one, three, four].toSorted());
  await rm(at("b/linked.pem"));
  assert.deepEqual(await trusted(env), [one, four].toSorted());
});

test("who names authorities that are not there gets none of Node's in their place", async () => {
  const { certificates } = await systemAuthorities({
    SSL_CERT_FILE: "/nowhere",
    SSL_CERT_DIR: "/nowhere",
  });
  assert.deepEqual(certificates, getCACertificates("extra").flatMap(certificatesIn));
});
