// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { must } from "./run.ts";

/** A certificate with its key, in files and as text. */
export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** An authority of its own, as companies have, and what it signs. Needs openssl. */
export interface CorporateCa extends KeyPair {
  /** A certificate for names as subjectAltName writes them: `IP:127.0.0.1,DNS:registry.test`. */
  sign(name: string, alternativeNames: string, organization?: string): Promise<KeyPair>;
}

const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(" ");

export async function corporateCa(folder: string, name = "Corporate CA"): Promise<CorporateCa> {
  const place = (stem: string) => ({
    certFile: path.join(folder, `${stem}.crt`),
    keyFile: path.join(folder, `${stem}.key`),
  });
  const read = async (files: Pick<KeyPair, "certFile" | "keyFile">): Promise<KeyPair> => ({
    ...files,
    cert: await readFile(files.certFile, "utf8"),
    key: await readFile(files.keyFile, "utf8"),
  });
  const ca = place("ca");
  const made = ["-keyout", ca.keyFile, "-out", ca.certFile];
  await must("openssl", ["req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=${name}`, ...made]);
  let last: Promise<unknown> = Promise.resolve();
  /** One at a time: two of the same name would write the same files. */
  const sign: CorporateCa["sign"] = (...asked) => {
    const next = last.then(() => signOne(...asked));
    last = next.catch(() => {});
    return next;
  };
  const signOne = async (
    stem: string,
    alternativeNames: string,
    organization?: string,
  ): Promise<KeyPair> => {
    const files = place(stem);
    const request = path.join(folder, `${stem}.csr`);
    const extensions = path.join(folder, `${stem}.ext`);
    await writeFile(extensions, `subjectAltName=${alternativeNames}\n`);
    const subject = `${organization === undefined ? "" : `/O=${organization}`}/CN=${stem}`;
    const asked = ["-subj", subject, "-keyout", files.keyFile, "-out", request];
    await must("openssl", ["req", ...newKey, ...asked]);
    const by = [
      "-CA",
      ca.certFile,
      "-CAkey",
      ca.keyFile,
      // A file of serial numbers would be for one at a time.
      "-set_serial",
      `0x${randomBytes(8).toString("hex")}`,
      "-extfile",
      extensions,
    ];
    await must("openssl", [
      "x509",
      "-req",
      "-in",
      request,
      "-days",
      "2",
      ...by,
      "-out",
      files.certFile,
    ]);
    return read(files);
  };
  return { ...(await read(ca)), sign };
}
