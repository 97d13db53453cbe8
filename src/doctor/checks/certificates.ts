// SPDX-License-Identifier: Apache-2.0

import { X509Certificate } from "node:crypto";
import { toFault } from "../../base/errors.ts";
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";
import { clientCertificate, newKubeletConf } from "./kubelet-conf.ts";

const dayMs = 86_400_000;
/** Time enough to get another one. */
const soonDays = 14;
const mostFolders = 1000;
/** The kubelet's own, which it renews by itself as long as the API server signs. */
const kubeletCertificate = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/** What it shows to those that ask it; made by itself for a year where it is given none. */
const kubeletServing = "/var/lib/kubelet/pki/kubelet.crt";
/** With these it has another one, or has it elsewhere. */
const serving = ["tls-cert-file", "cert-dir", "root-dir"] as const;
const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const doesNotStart =
  "the streaming server does not start: no kubectl exec, attach and port-forward";

export const certificates: Check = {
  name: "certificates",
  about: "certificates that end: streaming, registries, the kubelet's",
  needsConfig: true,
  run: async (patient) => {
    const { host, config } = patient;
    const { tlsCertFile, tlsKeyFile } = config.streaming;
    const found: Finding[] = [];
    if (tlsCertFile !== "") {
      const why =
        "kubectl exec, attach and port-forward fail: the API server refuses the certificate";
      found.push(...(await lookAt(host, tlsCertFile, { why, isNeeded: true })));
    }
    if (tlsKeyFile !== "" && !(await host.has(tlsKeyFile))) {
      const mend = `cp THE-KEY ${shellWord(tlsKeyFile)} && systemctl restart berthd`;
      found.push(error({ what: `there is no ${tlsKeyFile}`, why: doesNotStart, mend }));
    }
    for (const file of await ofRegistries(patient)) {
      const why =
        "what it stands for is not trusted any more: images of that registry are not pulled";
      // What is no certificate is told with its registry, where it is one that is used.
      found.push(...(await lookAt(host, file, { why, isNeeded: false, isToldElsewhere: true })));
    }
    const why = "the kubelet cannot speak to the API server: the node becomes NotReady";
    const mend = await newKubeletConf(host);
    const use = { why, isNeeded: false, mend };
    found.push(...(await lookAt(host, kubeletCertificate, use)));
    const own = await clientCertificate(host, (await patient.kubelet())?.flags ?? []);
    if (own?.held !== undefined) found.push(...ofText(own.file, own.held, use));
    else if (own !== undefined && own.file !== kubeletCertificate)
      found.push(...(await lookAt(host, own.file, use)));
    found.push(...(await ofServing(patient)));
    return found.length > 0 ? found : [ok("no certificate ends soon")];
  },
};

/**
 * Of what it has made itself: with one from elsewhere the old file is nobody's any more. It is of no authority, and not made
 * anew when it has ended: most who ask the kubelet do not look at it.
 */
async function ofServing(patient: Patient): Promise<Finding[]> {
  const kubelet = await patient.kubelet();
  if (kubelet === undefined) return [];
  const { flags, settings } = kubelet;
  const isOthers =
    settings["serverTLSBootstrap"] === true ||
    (flagOf(flags, "rotate-server-certificates") ?? "false") !== "false" ||
    settings["tlsCertFile"] !== undefined ||
    serving.some((flag) => flagOf(flags, flag) !== undefined);
  if (isOthers) return [];
  return lookAt(patient.host, kubeletServing, {
    tell: warning,
    why: "those that are told to check it refuse it: an API server with --kubelet-certificate-authority for `kubectl logs` and `exec`, and metrics-server",
    isNeeded: false,
    mend: `rm ${kubeletServing} /var/lib/kubelet/pki/kubelet.key && systemctl restart kubelet`,
  });
}

/** Certificates in the folders of registries, by the endings that are usual there. */
async function ofRegistries({ host, config }: Patient): Promise<string[]> {
  const found: string[] = [];
  for (const folder of config.registry.configPath.split(":").filter((part) => part !== "")) {
    for (const name of (await host.names(folder)).slice(0, mostFolders)) {
      const files = await host.names(`${folder}/${name}`);
      found.push(
        ...files
          .filter((file) => /\.(crt|cert|pem)$/.test(file))
          .map((file) => `${folder}/${name}/${file}`),
      );
    }
  }
  return found;
}

interface Use {
  /** What it leads to that it does not hold. */
  readonly why: string;
  /** The streaming server's, which does not start without it. */
  readonly isNeeded: boolean;
  /** Another check tells what holds no certificate. */
  readonly isToldElsewhere?: boolean;
  /** What gets another one, where a command does. */
  readonly mend?: string;
  /** How grave it is that it does not hold; an error where it is left out. */
  readonly tell?: typeof error;
}

async function lookAt(host: Host, file: string, use: Use): Promise<Finding[]> {
  const { isNeeded } = use;
  const text = await host.text(file);
  if (text === undefined) {
    if (!isNeeded) return [];
    const mend = `cp THE-CERTIFICATE ${shellWord(file)} && systemctl restart berthd`;
    return [error({ what: `there is no ${file}`, why: doesNotStart, mend })];
  }
  return ofText(file, text, use);
}

function ofText(file: string, text: string, use: Use): Finding[] {
  const { isNeeded } = use;
  const all = text.match(pem) ?? [];
  if (all.length === 0 && isNeeded) {
    return [
      error({
        what: `${file} holds no certificate`,
        why: doesNotStart,
        mend: `openssl x509 -in ${shellWord(file)} -noout -text`,
      }),
    ];
  }
  // A bundle of authorities has old ones in it, which nobody misses.
  if (all.length > 3) return [];
  return all.flatMap((one) => ofOne(file, one, use));
}

function ofOne(file: string, text: string, use: Use): Finding[] {
  const { why, mend: anew, isToldElsewhere, tell = error } = use;
  const mend = anew ?? `cp THE-NEW-ONE ${shellWord(file)} # it is read anew when it changes`;
  try {
    const { subject, validFromDate, validToDate } = new X509Certificate(text);
    const name = subject.split("\n").at(-1) ?? "";
    const days = Math.floor((validToDate.getTime() - Date.now()) / dayMs);
    const date = validToDate.toISOString().slice(0, 10);
    if (validFromDate.getTime() > Date.now()) {
      const from = validFromDate.toISOString();
      return [
        tell({
          what: `${file} (${name}) holds from ${from} on only`,
          why,
          mend: "timedatectl set-ntp true; chronyc -a makestep; date",
        }),
      ];
    }
    if (days < 0) return [tell({ what: `${file} (${name}) has ended on ${date}`, why, mend })];
    if (days > soonDays) return [];
    return [warning({ what: `${file} (${name}) ends in ${days} days, on ${date}`, why, mend })];
  } catch (thrown) {
    if (isToldElsewhere === true) return [];
    const what = `${file} holds what is no certificate: ${toFault(thrown).message}`;
    return [tell({ what, why, mend })];
  }
}
