// SPDX-License-Identifier: Apache-2.0
import { toFault } from "../../base/errors.ts";
import { parseHosts, type RegistryHost, type Warn } from "../../images/registry/hosts.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

const mostFolders = 1000;

export const registries: Check = {
  name: "registries",
  about: "hosts.toml files of registries",
  run: async (patient) => {
    const { host, config } = patient;
    const found: Finding[] = [];
    let files = 0;
    for (const folder of config.registry.configPath.split(":").filter((part) => part !== "")) {
      for (const name of (await host.names(folder)).slice(0, mostFolders)) {
        const file = `${folder}/${name}/hosts.toml`;
        const text = await host.text(file);
        if (text === undefined) continue;
        files += 1;
        found.push(...(await lookAt(patient, { folder: `${folder}/${name}`, file, name, text })));
      }
    }
    if (files === 0) found.push(ok("no hosts.toml: registries are asked by their names"));
    else if (found.length === 0) found.push(ok(`${files} hosts.toml can be read`));
    return found;
  },
};

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
    if (about === "key") found.push(warning({ what, why, mend: `vi '${file}'` }));
    else found.push(note({ what, why, mend: `grep -n capabilities '${file}'` }));
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
        mend: `mv '${file}' '${file}.off' # asks ${name} itself; mend that file, and put it back`,
      }),
    ];
  }
  for (const { base, tls } of servers) {
    if (tls.skipVerify) {
      found.push(
        warning({
          what: `${file}: the certificate of ${new URL(base).host} is not checked (skip_verify)`,
          why: "whoever is between the node and the registry can hand out images, and read the logins",
          mend: `put the authority's certificate beside it: ca = "ca.crt" in place of skip_verify`,
        }),
      );
    }
    for (const certificate of [...tls.ca, ...tls.client.flat()]) {
      if (await patient.host.has(certificate)) continue;
      const why = `images of ${name} cannot be pulled from ${new URL(base).host}`;
      const mend = `cp THE-CERTIFICATE '${certificate}'`;
      found.push(error({ what: `${file}: there is no ${certificate}`, why, mend }));
    }
  }
  return found;
}
