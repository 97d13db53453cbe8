// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { LogOptions } from "../../logs/ports.ts";
import type { ContainerRecord } from "../store/container-record.ts";

/** Where a container's output goes, as its record says. */
export function logOptionsOf({ id, config, logPath }: ContainerRecord): LogOptions {
  const { tty: terminal, stdin } = config;
  return {
    containerId: id,
    logPath,
    logFolder: podFolder(logPath, config.logPath),
    terminal,
    stdin,
  };
}

/** What `log_directory` was: the container's `log_path` came below it. */
function podFolder(file: string, below: string): string {
  const end = `/${path.normalize(below)}`;
  const isBelow = below !== "" && !end.startsWith("/..") && file.endsWith(end);
  return isBelow ? file.slice(0, -end.length) || "/" : path.dirname(file);
}
