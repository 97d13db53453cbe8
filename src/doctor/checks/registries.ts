// SPDX-License-Identifier: Apache-2.0

import { toFault } from "../../base/errors.ts";
import { shellWord } from "../../base/shell-word.ts";
import { certificatesIn } from "../../images/registry/host-folders.ts";
import { parseHosts, type RegistryHost, type Warn } from "../../images/registry/hosts.ts";
import { readTlsFiles, tlsContexts } from "../../images/registry/tls-options.ts";
import { trusting } from "../../images/registry/trusting.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

const mostFolders = 1000;

export const registries: Check = {
  name: "registries",
  about: "hosts.toml files of registries, and the certificates beside them",
  needsConfig: true,
  run: async (patient) => {
    const { host, config } = patient;
    const found: Finding[] = [];
    let files = 0;
    for (const root of config.registry.configPath.split(":").filter((part) => part !== "")) {
      for (const name of (await host.names(root)).slice(0, mostFolders)) {
        const folder = `${root}/${name}`;
        const file = `${folder}/hosts.toml`;
        const text = await host.text(file);
        found.push(...(await strayKeys(patient, folder, text)));
        if (text === undefined) {
          found.push(...(await unnamed(patient, folder, name)));
          continue;
        }
        files += 1;
        found.push(...(await lookAt(patient, { folder, file, name, text })));
      }
    }
    if (files === 0 && found.length === 0)
      found.push(ok("no hosts.toml: registries are asked by their names"));
    else if (found.length === 0) found.push(ok(`${files} hosts.toml can be read`));
    return found;
  },
};

/** Certificates that no hosts.toml names count where there is none, by their endings. */
async function unnamed(patient: Patient, folder: string, name: string): Promise<Finding[]> {
  const { host } = patient;
  const { ca = [], client = [] } = (await certificatesIn(host.at(folder))) ?? {};
  const at = (file: string): string => `${folder}/${file}`;
  const pairs = client.map(([cert, key]) => [at(cert), at(key)] as const);
  const tls = { skipVerify: false, ca: ca.map(at), client: pairs };
  return unusable(patient, tls, { name, folder, of: folder });
}

/** Where there is no hosts.toml, a key counts beside its certificate alone. */
async function strayKeys({ host }: Patient, folder: string, text: string | undefined) {
  if (text !== undefined && text !== "") return [];
  const names = new Set(await host.names(folder));
  const keys = [...names].filter((name) => name.endsWith(".key"));
  return keys.flatMap((key) => {
    const cert = key.replace(/key$/, "cert");
    if (names.has(cert)) return [];
    const what = `${folder}/${key} has no ${cert} beside it, and is not used`;
    const why = "a registry that asks for a client's certificate refuses the pulls";
    return [warning({ what, why, mend: `cp THE-CERTIFICATE ${shellWord(`${folder}/${cert}`)}` })];
  });
}

interface Place {
  /** The registry's. */
  readonly name: string;
  readonly folder: string;
  /** The file that names the certificates, or the folder that they lie in. */
  readonly of: string;
}

/** What TLS cannot be made of: all that is read for a pull is read here. */
async function unusable({ host }: Patient, tls: RegistryHost["tls"], { name, folder, of }: Place) {
  const at = (file: string): string => host.at(file);
  try {
    const { ca, client } = tls;
    for (const file of [...ca, ...client.flat()]) await host.reach(file);
    const pairs = client.map(([cert, key]) => [at(cert), at(key)] as const);
    const texts = await readTlsFiles({ ...tls, ca: ca.map(at), client: pairs });
    await tlsContexts(texts, { certificates: [], context: await trusting({ ca: [] }) });
    return [];
  } catch (thrown) {
    const what = `${of}: ${toFault(thrown).message}`;
    const why = `images of ${name} cannot be pulled`;
    const [, file] = /"([^"]+)".* has no certificate$/.exec(host.named(what)) ?? [];
    const look = `ls -l ${shellWord(folder)}; openssl x509 -noout -text -in ${shellWord(folder)}/FILE`;
    if (file === undefined) return [error({ what, why, mend: look })];
    const aside = `mv ${shellWord(file)} ${shellWord(`${file}.off`)}`;
    const mend = tls.named === undefined ? aside : `cp THE-CERTIFICATE ${shellWord(file)}`;
    return [error({ what, why, mend })];
  }
}

interface HostsText {
  readonly folder: string;
  readonly file: string;
  /** Of the folder: the registry's, its port in underscores or after a colon. */
  readonly name: string;
  readonly text: string;
}

async function lookAt(patient: Patient, hosts: HostsText): Promise<Finding[]> {
  const { folder, file, name, text } = hosts;
  const found: Finding[] = [];
  const passedOver: Warn = (what, about) => {
    const why = "it is meant for another version, or mistyped";
    if (about === "key") found.push(warning({ what, why, mend: `vi ${shellWord(file)}` }));
    else found.push(note({ what, why, mend: `grep -n capabilities ${shellWord(file)}` }));
  };
  let servers: readonly RegistryHost[];
  try {
    const domain = name.replace(/_(\d+)_?$/, ":$1");
    servers = parseHosts(text, folder, domain, passedOver);
  } catch (thrown) {
    return [
      error({
        what: toFault(thrown).message,
        why: `images of ${name} cannot be pulled`,
        mend: `mv ${shellWord(file)} ${shellWord(`${file}.off`)} # asks ${name} itself; mend that file, and put it back`,
      }),
    ];
  }
  // One that is asked over TLS, and where it speaks none without, is there twice.
  for (const { base, tls } of servers.filter(({ plainOf }) => plainOf === undefined)) {
    if (tls.skipVerify) {
      found.push(
        warning({
          what: `${file}: the certificate of ${new URL(base).host} is not checked (skip_verify)`,
          why: "whoever is between the node and the registry can hand out images, and read the logins",
          mend: `put the authority's certificate beside it: ca = "ca.crt" in place of skip_verify`,
        }),
      );
    }
    const missing: Finding[] = [];
    for (const certificate of [...tls.ca, ...tls.client.flat()]) {
      if (await patient.host.has(certificate)) continue;
      const why = `images of ${name} cannot be pulled from ${new URL(base).host}`;
      const mend = `cp THE-CERTIFICATE ${shellWord(certificate)}`;
      missing.push(error({ what: `${file}: there is no ${certificate}`, why, mend }));
    }
    found.push(...missing);
    if (missing.length === 0)
      found.push(...(await unusable(patient, tls, { name, folder, of: file })));
  }
  // Servers of one file may share a certificate.
  return [...new Map(found.map((one) => [one.what, one])).values()];
}
