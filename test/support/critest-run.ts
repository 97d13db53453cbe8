// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./run.ts";

/** What one spec did. */
export interface SpecResult {
  /** The texts of its containers and its own, joined by a space. */
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped" | "pending" | string;
  readonly message: string;
}

export interface CritestOptions {
  readonly critest: string;
  readonly socket: string;
  /** Regular expressions; a spec runs when any matches its name. */
  readonly focus: readonly string[];
  readonly skip?: readonly string[];
  /** Further flags of critest itself. */
  readonly flags?: readonly string[];
  /** Specs at once, with the `ginkgo` program that critest then leaves the work to; else one by one. */
  readonly parallel?: { readonly specs: number; readonly ginkgo: string };
  /** For its report. */
  readonly folder: string;
  readonly timeoutMs: number;
}

interface GinkgoSpec {
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly LeafNodeType: string;
  readonly State: string;
  readonly Failure?: { readonly Message?: string };
}

/** Runs critest and reads its JSON report; specs left out by focus are left out here too. */
export async function runCritest(options: CritestOptions): Promise<SpecResult[]> {
  const { parallel } = options;
  const report = path.join(options.folder, "critest.json");
  const endpoint = `unix://${options.socket}`;
  const result = await run(
    options.critest,
    [
      "--config=/nonexistent",
      `--runtime-endpoint=${endpoint}`,
      `--image-endpoint=${endpoint}`,
      ...(options.flags ?? []),
      ...(parallel === undefined ? [] : [`-parallel=${parallel.specs}`]),
      ...options.focus.map((pattern) => `--ginkgo.focus=${pattern}`),
      ...(options.skip ?? []).map((pattern) => `--ginkgo.skip=${pattern}`),
      "--ginkgo.no-color",
      "--ginkgo.seed=1",
      `--ginkgo.json-report=${report}`,
      `--ginkgo.timeout=${Math.floor(options.timeoutMs / 1000)}s`,
    ],
    {
      timeoutMs: options.timeoutMs + 30_000,
      cwd: options.folder,
      env:
        parallel === undefined
          ? {}
          : { PATH: `${path.dirname(parallel.ginkgo)}:${process.env["PATH"] ?? ""}` },
    },
  );
  const text = await readFile(report, "utf8").catch(() => {
    throw new Error(
      `critest wrote no report: exit ${result.code}\n${result.stderr}${result.stdout}`,
    );
  });
  const suites = JSON.parse(text) as { SpecReports: readonly GinkgoSpec[] | null }[];
  return suites
    .flatMap((suite) => suite.SpecReports ?? [])
    .filter((spec) => spec.LeafNodeType === "It" || spec.State === "failed")
    .map((spec) => ({
      name: [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].join(" "),
      state: spec.State,
      message: spec.Failure?.Message ?? "",
    }))
    .filter(({ state, message }) => state !== "skipped" || message !== "");
}

/** The specs that neither passed nor skipped themselves, with what they said. */
export function failuresOf(results: readonly SpecResult[]): string[] {
  return results
    .filter(({ state }) => state !== "passed" && state !== "skipped")
    .map((spec) => `${spec.name}: ${spec.message}`);
}

/** How many specs did what, in a line. */
export function summary(results: readonly SpecResult[]): string {
  const passed = results.filter(({ state }) => state === "passed").length;
  return `${passed} passed, ${results.length - passed} skipped themselves`;
}
