// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fault } from "../base/errors.ts";
import { importConfig } from "../config/import/import-config.ts";
import { type HostsToml, withoutLogins } from "../config/import/registry-hosts.ts";
import type { CliIo } from "./cli-io.ts";
import { printable } from "./printable.ts";

/** Prints our configuration on standard output, and what is to be known of it on standard error. */
export function importInto(io: CliIo, file: string, certsDir: string | undefined): void {
  const { text, files, lost, hosts, warnings } = importConfig(file);
  const lines = [`read: ${files.join(", ")}`];
  if (lost.length > 0) lines.push("without a counterpart:");
  for (const { written, reason } of lost) lines.push(`  ${written}: ${reason}`);
  for (const warning of warnings) lines.push(`warning: ${warning}`);
  lines.push(...told(hosts, certsDir));
  for (const one of hosts)
    if (certsDir !== undefined) lines.push(`wrote ${written(one, certsDir)}`);
  io.error(printable(`${lines.join("\n")}\n`));
  io.out(printable(`# Made by berthd config import of ${files.join(", ")}\n${text}`));
}

function told(hosts: readonly HostsToml[], certsDir: string | undefined): readonly string[] {
  if (hosts.length === 0 || certsDir !== undefined) return [];
  return [
    "its registries need hosts.toml files; --certs-dir /etc/berthd/certs.d writes them, with the logins that are left out here:",
    ...hosts.flatMap(({ registry, text }) => [
      `  ${registry}/hosts.toml`,
      ...withoutLogins(text)
        .trimEnd()
        .split("\n")
        .map((line) => `    ${line}`),
    ]),
  ];
}

/** A login is for root alone. What is there already is somebody's work. */
function written({ registry, text, isSecret }: HostsToml, certsDir: string): string {
  if (registry.includes("/") || registry === ".." || registry === "")
    throw fault("INVALID_ARGUMENT", `"${registry}" is no registry's name`);
  const folder = path.join(certsDir, registry);
  const file = path.join(folder, "hosts.toml");
  if (existsSync(file))
    throw fault("ALREADY_EXISTS", `${file} is there already: it is left as it is`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeFileSync(file, text, { mode: isSecret ? 0o600 : 0o644, flag: "wx" });
  return file;
}
