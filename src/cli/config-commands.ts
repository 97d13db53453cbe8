// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { defaultConfig } from "../config/defaults.ts";
import { layoutOf, toldOf } from "../config/layout.ts";
import type { LoadedConfig } from "../config/load.ts";
import { missingFiles } from "../config/missing-files.ts";
import { renderConfig } from "../config/render.ts";
import type { CliIo } from "./cli-io.ts";

export function printDefaultConfig(io: CliIo): void {
  io.out(renderConfig(defaultConfig, { comments: true }));
}

/**
 * What is wrong in the files themselves has been thrown while they were loaded; this checks the sockets of other
 * daemons, and whether this version knows what the root holds, and tells of files that are named and not there.
 */
export async function checkConfigFile(loaded: LoadedConfig, io: CliIo): Promise<void> {
  await checkSockets(loaded);
  await checkDatabase(loaded);
  const warnings = [...loaded.warnings, ...(await missingFiles(loaded))];
  for (const warning of warnings) io.error(`warning: ${warning}\n`);
  const read = loaded.sources.length === 0 ? "no file, the defaults" : loaded.sources.join(", ");
  io.out(`configuration is valid (read: ${read})\n`);
}

async function checkSockets({ config: { grpc }, originOf }: LoadedConfig): Promise<void> {
  if (grpc.also.length === 0) return;
  const { furtherSocketRefusal } = await import("../rpc/further-socket.ts");
  const refusals = grpc.also.flatMap((file) => furtherSocketRefusal(grpc.address, file) ?? []);
  if (refusals.length === 0) return;
  const origin = originOf(["grpc", "also"]);
  const lines = refusals.map((refusal) => `"grpc.also" in ${origin}: ${refusal}`);
  throw fault("FAILED_PRECONDITION", lines.join("\n"));
}

async function checkDatabase({ config }: LoadedConfig): Promise<void> {
  const { databaseRefusal } = await import("../metadata/sqlite/file-header.ts");
  const layout = layoutOf(config);
  const refusal = await databaseRefusal(layout.database, toldOf(layout));
  if (refusal !== undefined) throw fault("FAILED_PRECONDITION", refusal);
}

export function printEffectiveConfig(loaded: LoadedConfig, io: CliIo, comments: boolean): void {
  for (const warning of loaded.warnings) io.error(`warning: ${warning}\n`);
  io.out(renderConfig(loaded.config, { comments }));
}
