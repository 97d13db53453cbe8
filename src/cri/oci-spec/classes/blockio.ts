// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { errnoOf, fault } from "../../../base/errors.ts";
import { invalid, unsupported } from "../../../base/invalid-field.ts";
import { ociInteger } from "../../../oci/encode-spec.ts";
import type { OciBlockIo } from "../../../oci/spec.ts";
import { type DiskNumber, disksMatching } from "./block-devices.ts";
import type { BlockioClassRules, BlockioRule } from "./blockio-config.ts";
import { type ClassRequest, requestedClass } from "./requested-class.ts";

/** The classes that the administrator's file defines. */
export interface BlockioClasses {
  /** Read anew each time; undefined when no file is configured. FAILED_PRECONDITION when it is no good. */
  read(): Promise<BlockioClassRules | undefined>;
}

/** The classes of a file; "" for none. */
export function createBlockioClasses(path: string): BlockioClasses {
  return {
    read: async () => {
      if (path === "") return undefined;
      try {
        const { parseBlockioConfig } = await import("./blockio-config.ts"); // and YAML with it
        return parseBlockioConfig(await readFile(path, "utf8"));
      } catch (error) {
        const problem = errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
        throw fault("FAILED_PRECONDITION", `cannot use blockio_config_file "${path}": ${problem}`, {
          cause: error,
        });
      }
    },
  };
}

/**
 * `linux.resources.blockIO` of the class a container asks for; undefined for none. A class that is asked
 * for and cannot be had is refused; where no file is configured, `ignoreNotEnabled` lets the container
 * run without. Devices are looked for now: disks come and go.
 */
export async function blockIo(
  request: ClassRequest,
  classes: BlockioClasses,
  { ignoreNotEnabled }: { readonly ignoreNotEnabled: boolean },
  find: (globs: readonly string[]) => Promise<DiskNumber[]> = disksMatching,
): Promise<OciBlockIo | undefined> {
  const wanted = requestedClass("blockio", request);
  if (wanted === undefined) return undefined;
  const known = await classes.read();
  if (known === undefined && ignoreNotEnabled) return undefined;
  return sharesOf(wanted.name, known, `annotations["${wanted.annotation}"]`, find);
}

/** The same of a class that a plugin names. */
export async function classByName(name: string, classes: BlockioClasses): Promise<OciBlockIo> {
  return sharesOf(name, await classes.read(), "blockio_class", disksMatching);
}

function sharesOf(
  name: string,
  known: BlockioClassRules | undefined,
  field: string,
  find: (globs: readonly string[]) => Promise<DiskNumber[]>,
): Promise<OciBlockIo> {
  if (known === undefined) {
    throw unsupported(
      field,
      `block I/O class "${name}" cannot be given: no blockio_config_file is configured`,
    );
  }
  const rules = known.get(name);
  if (rules !== undefined) return toBlockIo(rules, find);
  const there = known.size === 0 ? "it defines none" : `it defines ${[...known.keys()].join(", ")}`;
  throw invalid(field, `no block I/O class "${name}" in blockio_config_file: ${there}`);
}

interface DiskShare extends Omit<BlockioRule, "devices"> {
  readonly disk: DiskNumber;
}

/** Of two rules for one disk, the later one wins in what it sets. */
async function toBlockIo(
  rules: readonly BlockioRule[],
  find: (globs: readonly string[]) => Promise<DiskNumber[]>,
): Promise<OciBlockIo> {
  const out: OciBlockIo = {};
  const shares = new Map<string, DiskShare>();
  for (const { devices, ...given } of rules) {
    const set = Object.fromEntries(
      Object.entries(given).filter(([, value]) => value !== undefined),
    ) as Omit<BlockioRule, "devices">;
    if (devices.length === 0) {
      if (set.weight !== undefined) out.weight = set.weight;
      continue;
    }
    for (const disk of await find(devices)) {
      const key = `${disk.major}:${disk.minor}`;
      shares.set(key, { ...shares.get(key), ...set, disk });
    }
  }
  const all = [...shares.values()];
  const weights = all.flatMap(({ disk, weight }) =>
    weight === undefined ? [] : [{ ...disk, weight }],
  );
  if (weights.length > 0) out.weightDevice = weights;
  for (const [field, property] of throttles) {
    const rates = all.flatMap(({ disk, [property]: rate }) =>
      rate === undefined ? [] : [{ ...disk, rate: ociInteger(rate) }],
    );
    if (rates.length > 0) out[field] = rates;
  }
  return out;
}

const throttles = [
  ["throttleReadBpsDevice", "readBps"],
  ["throttleWriteBpsDevice", "writeBps"],
  ["throttleReadIOPSDevice", "readIops"],
  ["throttleWriteIOPSDevice", "writeIops"],
] as const;
