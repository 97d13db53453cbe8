// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type CorporateCa, corporateCa, type KeyPair } from "../corporate-ca.ts";

/** A cluster's authority, and who it knows. */
export interface Credentials {
  readonly ca: CorporateCa;
  /** With which service account tokens are signed. */
  readonly tokenKeyFile: string;
  /** A kubeconfig file of this user. */
  kubeconfig(user: string, organization?: string): Promise<string>;
  /** A server's, for its addresses. */
  server(name: string, addresses: readonly string[]): Promise<KeyPair>;
  client(user: string, organization?: string): Promise<KeyPair>;
}

export async function makeCredentials(folder: string, server: string): Promise<Credentials> {
  const ca = await corporateCa(folder, "berth test cluster");
  const tokenKeyFile = path.join(folder, "tokens.key");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = privateKey.export({ type: "pkcs1", format: "pem" });
  await writeFile(tokenKeyFile, pem, { mode: 0o600 });
  const client = (user: string, organization?: string): Promise<KeyPair> =>
    ca.sign(user, "DNS:client.test", organization);
  return {
    ca,
    tokenKeyFile,
    client,
    server: (name, addresses) => ca.sign(name, addresses.join(",")),
    kubeconfig: async (user, organization) => {
      const { certFile, keyFile } = await client(user, organization);
      const file = path.join(folder, `${user}.kubeconfig`);
      // JSON is YAML.
      const text = JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [{ name: "test", cluster: { server, "certificate-authority": ca.certFile } }],
        users: [{ name: user, user: { "client-certificate": certFile, "client-key": keyFile } }],
        contexts: [{ name: "test", context: { cluster: "test", user } }],
        "current-context": "test",
      });
      await writeFile(file, text, { mode: 0o600 });
      return file;
    },
  };
}
