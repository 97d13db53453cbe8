// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { errnoOf, fault } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import { capabilitySets, defaultCapabilities } from "./capabilities.ts";
import { defaultMounts } from "./default-mounts.ts";
import { parseExactJson } from "./encode-spec.ts";
import type { OciSpec } from "./spec.ts";

/** Enough to build on; the rest of a base spec is the administrator's and goes through as it is. */
const fileShape = z.looseObject({
  process: z.looseObject({}).optional(),
  mounts: z.array(z.looseObject({ destination: z.string() })).nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
  linux: z
    .looseObject({ namespaces: z.array(z.looseObject({ type: z.string() })).nullish() })
    .optional(),
});

/**
 * What every spec starts from: the built-in spec, or the handler's `base_runtime_spec` file, of which
 * rlimits, seccomp and AppArmor profile survive unless the request names its own. The built-in one has
 * no rlimits: the process inherits the shim's.
 */
export async function startingSpec(file: string): Promise<OciSpec> {
  const base = builtInSpec();
  if (file === "") return base;
  const loaded = await load(file);
  return {
    ...base,
    ...loaded,
    process: { ...base.process, ...loaded.process },
    // The built-in mounts and the file's /run would hide what images keep there.
    mounts: (loaded.mounts ?? base.mounts).filter(({ destination }) => destination !== "/run"),
    annotations: { ...loaded.annotations },
    linux: {
      ...base.linux,
      ...loaded.linux,
      resources: { ...base.linux.resources, ...loaded.linux?.resources },
    },
  };
}

function builtInSpec(): OciSpec {
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args: [],
      env: [],
      cwd: "/",
      capabilities: capabilitySets(defaultCapabilities),
      noNewPrivileges: false,
    },
    root: { path: "rootfs" },
    mounts: defaultMounts(),
    annotations: {},
    // runc adds the devices that every container needs to this.
    linux: { resources: { devices: [{ allow: false, access: "rwm" }] }, namespaces: [] },
  };
}

async function load(file: string): Promise<Partial<OciSpec>> {
  try {
    return fileShape.parse(
      parseExactJson(await readFile(file, "utf8")),
    ) as unknown as Partial<OciSpec>;
  } catch (error) {
    const problem = errnoOf(error) ?? fileProblem(error);
    throw fault("FAILED_PRECONDITION", `cannot use base_runtime_spec "${file}": ${problem}`, {
      cause: error,
    });
  }
}
