// SPDX-License-Identifier: Apache-2.0
import type { ContainerConfig } from "../../gen/cri.gen.ts";
import type { ImageConfig } from "../../images/ports.ts";
import { invalid } from "./invalid.ts";

/**
 * The command line: the request's command replaces the image's entrypoint and with it drops the
 * image's cmd; the request's args replace cmd only. An entrypoint of one empty string is none.
 */
export function processArgs(
  config: Pick<ContainerConfig, "command" | "args">,
  image: Pick<ImageConfig, "entrypoint" | "cmd">,
): string[] {
  const command = config.command.length > 0 ? config.command : effectiveEntrypoint(image);
  const useCmd = config.command.length === 0 && config.args.length === 0;
  const args = [...command, ...(useCmd ? image.cmd : config.args)];
  if (args.length === 0) throw invalid("command", "no command specified, and the image has none");
  for (const [index, arg] of args.entries()) {
    if (arg.includes("\0")) throw invalid("command", `argument ${index} holds a NUL byte`);
  }
  return args;
}

/** Where the process starts: the request's folder, else the image's, else the root. */
export function workingDirectory(
  requested: string,
  image: Pick<ImageConfig, "workingDir">,
): string {
  if (requested !== "") {
    if (!requested.startsWith("/")) {
      throw invalid("working_dir", `"${requested}" is not an absolute path`);
    }
    return requested;
  }
  if (image.workingDir === "") return "/";
  return image.workingDir.startsWith("/") ? image.workingDir : `/${image.workingDir}`;
}

function effectiveEntrypoint(image: Pick<ImageConfig, "entrypoint">): readonly string[] {
  return image.entrypoint.length === 1 && image.entrypoint[0] === "" ? [] : image.entrypoint;
}
