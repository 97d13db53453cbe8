// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { getCACertificates } from "node:tls";
import { scratch } from "../../../test/support/scratch.ts";
import { makeFifo } from "../../base/os/fifo.ts";
import { tlsOptions } from "./tls-options.ts";

async function pems() {
  const home = await scratch();
  const at = (name: string): string => path.join(home.path, name);
  for (const name of ["ca", "cert", "key", "cert2", "key2"])
    await writeFile(at(name), `${name} PEM`);
  await symlink("ca", at("link"));
  await writeFile(at("huge"), Buffer.alloc(17 * 1024 * 1024));
  makeFifo(at("fifo"), 0o600);
  return { at, [Symbol.asyncDispose]: () => home[Symbol.asyncDispose]() };
}

const none = { skipVerify: false, ca: [], client: [] };
const builtin = getCACertificates("default");

test("a host's own authorities count beside the built-in ones, and its client certificates are for it alone", async () => {
  await using files = await pems();
  const { at } = files;
  const client = [
    [at("cert"), at("key")],
    [at("cert2"), at("key2")],
  ] as const;
  const own = { cert: ["cert PEM", "cert2 PEM"], key: ["key PEM", "key2 PEM"] };
  const verified = { rejectUnauthorized: true };
  const withCa = { ...verified, ca: [...builtin, "ca PEM"] };
  for (const { given, wanted } of [
    { given: none, wanted: { own: verified, others: verified } },
    {
      given: { ...none, skipVerify: true },
      wanted: { own: { rejectUnauthorized: false }, others: { rejectUnauthorized: false } },
    },
    { given: { ...none, ca: [at("link")] }, wanted: { own: withCa, others: withCa } },
    { given: { ...none, client }, wanted: { own: { ...verified, ...own }, others: verified } },
    {
      given: { ...none, ca: [at("ca")], client },
      wanted: { own: { ...withCa, ...own }, others: withCa },
    },
  ]) {
    assert.deepEqual(await tlsOptions(given), wanted);
  }
});

test("a file that cannot be read, or has more than a certificate can, is FAILED_PRECONDITION", async () => {
  await using files = await pems();
  const { at } = files;
  for (const bad of ["missing", "huge", "fifo", "."].map(at)) {
    const refused = { code: "FAILED_PRECONDITION", message: `cannot read "${bad}"` };
    await assert.rejects(tlsOptions({ ...none, ca: [bad] }), refused);
    await assert.rejects(tlsOptions({ ...none, client: [[bad, at("key")]] }), refused);
    await assert.rejects(tlsOptions({ ...none, client: [[at("cert"), bad]] }), refused);
  }
});
