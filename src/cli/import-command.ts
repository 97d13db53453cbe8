// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errnoOf, fault, type RuntimeFault, toFault } from "../base/errors.ts";
import { importConfig } from "../config/import/import-config.ts";
import { type HostsToml, withoutLogins } from "../config/import/registry-hosts.ts";
import { registry } from "../config/keys/registry.ts";
import type { CliIo } from "./cli-io.ts";
import { printable } from "./printable.ts";

/** Where hosts.toml files are looked for without a configuration. */
const usualCertsDir = registry.keys.configPath.default;

/**
 * Prints our configuration on standard output, and what is to be known of it on standard error: also where a hosts.toml
 * cannot be written, which fails afterwards.
 */
export function importInto(io: CliIo, file: string, certsDir: string | undefined): void {
  const { text, files, lost, hosts, warnings } = importConfig(file);
  const lines = [`read: ${files.join(", ")}`];
  if (lost.length > 0) lines.push("without a counterpart:");
  for (const { written, reason } of lost) lines.push(`  ${written}: ${reason}`);
  for (const warning of warnings) lines.push(`warning: ${warning}`);
  lines.push(...told(hosts, certsDir));
  if (hosts.length > 0 && certsDir !== undefined && path.resolve(certsDir) !== usualCertsDir) {
    lines.push(
      `note: ${certsDir} is read where the configuration has \`config_path = "${path.resolve(certsDir)}"\` below \`[registry]\``,
    );
  }
  for (const { registry } of hosts.filter(({ isInsecure }) => isInsecure)) {
    lines.push(
      `note: ${registry} is asked over TLS with whatever certificate, and without TLS where it speaks none: whoever is between can hand out images, and read the logins`,
    );
  }
  let failure: RuntimeFault | undefined;
  try {
    if (certsDir !== undefined) for (const one of hosts) lines.push(written(one, certsDir));
  } catch (error) {
    failure = toFault(error);
  }
  io.error(printable(withoutLogins(`${lines.join("\n")}\n`)));
  io.out(printable(`# Made by berthd config import of ${files.join(", ")}\n${text}`));
  if (failure !== undefined) throw failure;
}

function told(hosts: readonly HostsToml[], certsDir: string | undefined): readonly string[] {
  if (hosts.length === 0 || certsDir !== undefined) return [];
  return [
    `its registries need hosts.toml files; --certs-dir ${usualCertsDir} writes them, with the logins that are left out here:`,
    ...hosts.flatMap(({ registry, text }) => [
      `  ${registry}/hosts.toml`,
      ...text
        .trimEnd()
        .split("\n")
        .map((line) => `    ${line}`),
    ]),
  ];
}

/** A login is for root alone. What is there already is somebody's work. Answers the line that says what was done. */
function written({ registry, text, isSecret }: HostsToml, certsDir: string): string {
  const file = path.join(certsDir, registry, "hosts.toml");
  let isOurs = false;
  const failed = (error: unknown): Error =>
    fault("FAILED_PRECONDITION", `cannot write ${file}: ${errnoOf(error) ?? String(error)}`, {
      cause: error,
    });
  try {
    makeFolders(path.dirname(file));
  } catch (error) {
    throw failed(error);
  }
  try {
    writeFileSync(file, "", { mode: isSecret ? 0o600 : 0o644, flag: "wx" });
    isOurs = true;
    writeFileSync(file, text);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return `skipped ${file}: it is there already`;
    if (isOurs) rmSync(file, { force: true });
    throw failed(error);
  }
  return `wrote ${file}`;
}

/** One by one: below /proc Node's own way to make several never ends. */
function makeFolders(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const above = path.dirname(folder);
  if (above !== folder) makeFolders(above);
  mkdirSync(folder, { mode: 0o755 });
}
