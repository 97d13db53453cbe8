// SPDX-License-Identifier: Apache-2.0
import { parse } from "smol-toml";
import { isRecord } from "../../base/is-record.ts";
import { readStart } from "../../base/read-bounded.ts";
import type { Patient } from "../patient.ts";
import type { Scrubber } from "./scrubber.ts";

/** Names of variables whose values are nobody's business. */
const secretName = /pass|secret|token|key|credential|auth/i;
const mostFolders = 1000;

/** Tells the scrubber what is secret on this node: logins of proxies and mirrors, and settings of plugins. */
export async function hideKnown(patient: Patient, scrubber: Scrubber): Promise<void> {
  const { config, host } = patient;
  scrubber.hideLoginOf(config.registry.proxy);
  for (const { settings } of Object.values(config.plugins.config)) hideTexts(settings, scrubber);
  for (const folder of config.registry.configPath.split(":").filter((part) => part !== "")) {
    for (const name of (await host.names(folder).catch(() => [])).slice(0, mostFolders)) {
      const text = await host.text(`${folder}/${name}/hosts.toml`).catch(() => undefined);
      if (text !== undefined) hideHeaders(text, scrubber);
    }
  }
  await hideEnvironment((await patient.daemon()).pid, scrubber);
}

function hideHeaders(text: string, scrubber: Scrubber): void {
  let file: unknown;
  try {
    file = parse(text);
  } catch {
    return; // such a file is not packed
  }
  if (!isRecord(file)) return;
  const hosts = isRecord(file["host"]) ? Object.values(file["host"]) : [];
  for (const table of [file, ...hosts]) {
    if (!isRecord(table)) continue;
    hideTexts(table["header"], scrubber);
  }
  for (const address of isRecord(file["host"]) ? Object.keys(file["host"]) : [])
    scrubber.hideLoginOf(address);
}

/** The daemon's proxies, and what its unit hands it. */
async function hideEnvironment(pid: number | undefined, scrubber: Scrubber): Promise<void> {
  const text = await readStart(`/proc/${pid ?? "none"}/environ`, 256 * 1024).catch(() => "");
  for (const pair of text.toString().split("\0")) {
    const [name = "", ...rest] = pair.split("=");
    const value = rest.join("=");
    if (/_proxy$/i.test(name)) scrubber.hideLoginOf(value);
    if (secretName.test(name)) scrubber.hide(value);
  }
}

function hideTexts(value: unknown, scrubber: Scrubber): void {
  if (typeof value === "string") {
    scrubber.hide(value);
    // `Basic …`, `Bearer …`: the login alone, too.
    const [, login] = /^\w+ (\S+)$/.exec(value) ?? [];
    if (login !== undefined) scrubber.hide(login);
  } else if (Array.isArray(value)) for (const one of value) hideTexts(one, scrubber);
  else if (isRecord(value)) for (const one of Object.values(value)) hideTexts(one, scrubber);
}
