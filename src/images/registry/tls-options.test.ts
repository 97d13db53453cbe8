// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { getCACertificates } from "node:tls";
import { scratch } from "../../../test/support/scratch.ts";
import type { RuntimeFault } from "../../base/errors.ts";
import { makeFifo } from "../../base/os/fifo.ts";
import { systemAuthorities } from "./system-authorities.ts";
import { readTlsFiles, tlsContexts } from "./tls-options.ts";

const [authority = "", other = ""] = getCACertificates("bundled");
const none = { skipVerify: false, ca: [], client: [] };

async function pems() {
  const home = await scratch();
  const at = (name: string): string => path.join(home.path, name);
  await writeFile(at("ca"), `Words before.\n${authority}\n# and between\n${other}\n`);
  for (const name of ["cert", "key", "empty"]) await writeFile(at(name), `${name} PEM`);
  await symlink("ca", at("link"));
  await writeFile(at("huge"), Buffer.alloc(17 * 1024 * 1024));
  makeFifo(at("fifo"), 0o600);
  return { at, [Symbol.asyncDispose]: () => home[Symbol.asyncDispose]() };
}

test("a host's files are read, links too", async () => {
  await using files = await pems();
  const { at } = files;
  const client = [[at("cert"), at("key")]] as const;
  const texts = await readTlsFiles({ skipVerify: true, ca: [at("link")], client });
  assert.equal(texts.ca.length, 2);
  assert.deepEqual(texts.client, [["cert PEM", "key PEM"]]);
  assert.equal(texts.skipVerify, true);
});

test("a file that cannot be read, or has more than a certificate can, is FAILED_PRECONDITION", async () => {
  await using files = await pems();
  const { at } = files;
  for (const bad of ["missing", "huge", "fifo", "."].map(at)) {
    const begin = `cannot read "${bad}": `;
    const refused = ({ code, message }: RuntimeFault): boolean =>
      code === "FAILED_PRECONDITION" && message.startsWith(begin) && message.length > begin.length;
    await assert.rejects(readTlsFiles({ ...none, ca: [bad] }), refused);
    await assert.rejects(readTlsFiles({ ...none, client: [[bad, at("key")]] }), refused);
    await assert.rejects(readTlsFiles({ ...none, client: [[at("cert"), bad]] }), refused);
  }
});

test("an error tells which key of which file names what cannot be read, and why", async () => {
  const named = "/etc/berthd/certs.d/a/hosts.toml";
  await assert.rejects(readTlsFiles({ ...none, named, ca: ["/nope"] }), {
    message: `cannot read "/nope", which is ca in ${named}: no such file or directory`,
  });
  await assert.rejects(readTlsFiles({ ...none, named, client: [["/nope", "/nope"]] }), {
    message: `cannot read "/nope", which is client in ${named}: no such file or directory`,
  });
  await assert.rejects(readTlsFiles({ ...none, named, ca: ["/dev/shm"] }), {
    message: /^cannot read "\/dev\/shm", which is ca in .*hosts\.toml: ./,
  });
});

test("a file of authorities without any, and a key that is none, are FAILED_PRECONDITION", async () => {
  await using files = await pems();
  const { at } = files;
  await assert.rejects(readTlsFiles({ ...none, ca: [at("empty")] }), {
    code: "FAILED_PRECONDITION",
    message: `"${at("empty")}" has no certificate`,
  });
  const system = await systemAuthorities({});
  const texts = { ...none, client: [["cert PEM", "key PEM"] as const] };
  await assert.rejects(tlsContexts(texts, system), { code: "FAILED_PRECONDITION" });
});

test("without files of its own a host shares the system's TLS", async () => {
  const system = await systemAuthorities({});
  const { own, others, rejectUnauthorized } = await tlsContexts(none, system);
  assert.equal(own, system.context);
  assert.equal(others, system.context);
  assert.equal(rejectUnauthorized, true);
  assert.equal(await systemAuthorities({}), system);
});
