// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { ContainerConfig } from "../../gen/cri.gen.ts";
import type { ImageConfig } from "../../images/ports.ts";

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
  refuseUnlessRunnable("command", args);
  return args;
}

/** The kernel's MAX_ARG_STRLEN and PATH_MAX, without the byte that ends a string. */
const longestArgument = 128 * 1024 - 1;
const longestPath = 4095;

/**
 * INVALID_ARGUMENT for words that the kernel cannot take as a command line: a NUL byte, a word of 128 KiB,
 * a program's name that is longer than a path may be. How long they may be together depends on the
 * container's stack limit, and is the kernel's to say.
 */
export function refuseUnlessRunnable(field: string, args: readonly string[]): void {
  for (const [index, arg] of args.entries()) {
    if (arg.includes("\0")) throw invalid(field, `argument ${index} holds a NUL byte`);
    // At most three bytes a character: most need no count.
    const longest = index === 0 ? longestPath : longestArgument;
    const bytes = arg.length * 3 > longest ? Buffer.byteLength(arg) : 0;
    if (bytes > longest) {
      throw invalid(field, `argument ${index} has ${bytes} bytes, the kernel takes ${longest}`);
    }
  }
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
