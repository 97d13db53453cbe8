// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { ContainerConfig, KeyValue, PodSandboxConfig } from "../gen/cri.gen.ts";
import { codec } from "../rpc/codec.ts";

/** The kernel's MAX_ARG_STRLEN: of one argument or `NAME=value`, the byte that ends it included. */
const maxStringBytes = 128 * 1024;
/**
 * Of a whole config. Arguments and environment of that size cannot be executed under the usual stack
 * limit of 8 MiB anyway, and what a cluster hands over is small: all annotations have 256 KiB at most.
 */
const maxConfigBytes = 2 * 1024 * 1024;

/** Of environment, arguments, mounts, devices, labels and annotations together: each costs time in every spec. */
const maxEntries = 20_000;

/** INVALID_ARGUMENT for a config that is too large to be kept. */
export function checkSandboxConfigSize(config: PodSandboxConfig): void {
  const { labels, annotations } = config;
  checkCount(countOf(config.portMappings, Object.keys(labels), Object.keys(annotations)));
  checkSize(codec("runtime.v1.PodSandboxConfig").encode(config).byteLength);
}

/** INVALID_ARGUMENT, naming the field, for a config that is too large to be kept or to be executed. */
export function checkContainerConfigSize(config: ContainerConfig): void {
  const { command, args, envs, mounts, devices, labels, annotations } = config;
  const maps = [Object.keys(labels), Object.keys(annotations)];
  const options = mounts.map(({ mountOptions }) => mountOptions);
  checkCount(countOf(command, args, envs, mounts, ...options, devices, config.CDIDevices, ...maps));
  for (const field of ["command", "args"] as const) {
    for (const [index, text] of config[field].entries()) {
      checkString(`config.${field}[${index}]`, Buffer.byteLength(text) + 1);
    }
  }
  for (const [index, env] of config.envs.entries()) {
    checkString(`config.envs[${index}] (${nameOf(env)})`, bytesOf(env));
  }
  checkSize(codec("runtime.v1.ContainerConfig").encode(config).byteLength);
}

function countOf(...lists: readonly (readonly unknown[])[]): number {
  return lists.reduce((sum, list) => sum + list.length, 0);
}

function checkCount(count: number): void {
  if (count <= maxEntries) return;
  throw fault(
    "INVALID_ARGUMENT",
    `config has too many entries: environment, arguments, mounts, devices, labels and annotations are ${count}, and may be ${maxEntries}`,
  );
}

function checkString(field: string, bytes: number): void {
  if (bytes <= maxStringBytes) return;
  throw fault(
    "INVALID_ARGUMENT",
    `${field} is too long: it takes ${bytes} bytes, and the kernel passes ${maxStringBytes} at most`,
  );
}

function checkSize(bytes: number): void {
  if (bytes <= maxConfigBytes) return;
  throw fault(
    "INVALID_ARGUMENT",
    `config is too large: it has ${bytes} bytes, and may have ${maxConfigBytes}`,
  );
}

function bytesOf({ key, value }: KeyValue): number {
  return Buffer.byteLength(key) + Buffer.byteLength(value) + 2;
}

function nameOf({ key }: KeyValue): string {
  return key.length <= 64 ? key : `${key.slice(0, 64)}…`;
}
