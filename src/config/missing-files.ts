// SPDX-License-Identifier: Apache-2.0
import { stat } from "node:fs/promises";
import { errnoOf } from "../base/errors.ts";
import { within } from "../base/waits.ts";
import type { Config } from "./config.ts";
import type { LoadedConfig } from "./load.ts";
import { isRuncType } from "./runc-options.ts";

/** Longer than any disk takes. A file system without its server tells nothing, and holds nothing up. */
const answerMs = 2_000;

interface NamedFile {
  readonly key: readonly string[];
  readonly file: unknown;
  /** What there is not without it: a clause. */
  readonly without: string;
}

/**
 * A warning for each file that the configuration names and that is not there. No fault: berthd starts without, and a file may
 * come later.
 */
export async function missingFiles({
  config,
  originOf,
}: Pick<LoadedConfig, "config" | "originOf">): Promise<readonly string[]> {
  const told = namedFiles(config).map(async ({ key, file, without }) => {
    if (typeof file !== "string" || !file.startsWith("/")) return [];
    const problem = await within(problemOf(file), answerMs);
    if (problem === undefined) return [];
    return [`"${key.join(".")}" is ${file}, ${problem}: ${without} (in ${originOf(key)})`];
  });
  return (await Promise.all(told)).flat();
}

function namedFiles({ cri, kubernetes, runtime, streaming }: Config): readonly NamedFile[] {
  const noStreaming = "exec, attach and port-forward do not work";
  const ofHandlers = Object.entries(runtime.handlers).flatMap(([name, handler]) => {
    const at = ["runtime", "handlers", name];
    const without = `pods of handler ${name} cannot be started`;
    return [
      { key: [...at, "shim"], file: handler.shim, without },
      ...(isRuncType(handler.type)
        ? [{ key: [...at, "binary_name"], file: handler.binaryName, without }]
        : [
            { key: [...at, "options", "ConfigPath"], file: handler.options["ConfigPath"], without },
          ]),
      { key: [...at, "base_runtime_spec"], file: handler.baseRuntimeSpec, without },
    ];
  });
  return [
    ...ofHandlers,
    { key: ["streaming", "tls_cert_file"], file: streaming.tlsCertFile, without: noStreaming },
    { key: ["streaming", "tls_key_file"], file: streaming.tlsKeyFile, without: noStreaming },
    {
      key: ["cri", "blockio_config_file"],
      file: cri.blockioConfigFile,
      without: "containers that ask for a class of block I/O are refused",
    },
    {
      key: ["kubernetes", "kubeconfig"],
      file: kubernetes.kubeconfig,
      without: "the cluster is told nothing",
    },
  ];
}

/** A clause; undefined where it is there, or nobody can tell. */
async function problemOf(file: string): Promise<string | undefined> {
  try {
    return (await stat(file)).isDirectory() ? "which is a folder" : undefined;
  } catch (error) {
    const isMissing = ["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "");
    return isMissing ? "which is not there" : undefined;
  }
}
