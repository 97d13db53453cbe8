// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Module } from "./imports.ts";

/** An import that leads from one folder to its neighbour. */
interface Edge {
  readonly from: string;
  readonly to: string;
  readonly example: string;
}

/**
 * Folders that import each other, in whatever number of steps, a sentence for each circle. Only neighbours are
 * compared, at every depth: what lies right in a folder may both use its sub-folders and be used by them.
 */
export function folderCycles(modules: readonly Module[]): string[] {
  const parents = new Map<string, Edge[]>();
  for (const { file, imports } of modules) {
    for (const target of imports) {
      const edge = neighbours(file, target);
      if (edge === undefined) continue;
      const parent = path.dirname(edge.from);
      parents.set(parent, [...(parents.get(parent) ?? []), edge]);
    }
  }
  return [...parents.values()].flatMap((edges) => {
    const circle = circleIn(edges);
    return circle.length === 0 ? [] : [`folders import each other: ${circle.join("; ")}`];
  });
}

/** The two folders below the deepest common one; undefined where one of the files lies right in that. */
function neighbours(file: string, target: string): Edge | undefined {
  const [a, b] = [path.dirname(file).split("/"), path.dirname(target).split("/")];
  let depth = 0;
  while (depth < a.length && a[depth] === b[depth]) depth += 1;
  if (depth === 0 || depth === a.length || depth === b.length) return undefined;
  const at = (parts: readonly string[]): string => parts.slice(0, depth + 1).join("/");
  return { from: at(a), to: at(b), example: `${file} → ${target}` };
}

/** One import for each step of a circle; none where there is no circle. */
function circleIn(edges: readonly Edge[]): string[] {
  const steps = new Map<string, Edge[]>();
  for (const edge of edges) steps.set(edge.from, [...(steps.get(edge.from) ?? []), edge]);
  const done = new Set<string>();
  const walk = (folder: string, way: readonly Edge[]): string[] => {
    const start = way.findIndex(({ from }) => from === folder);
    if (start >= 0) return way.slice(start).map(({ example }) => example);
    if (done.has(folder)) return [];
    for (const edge of steps.get(folder) ?? []) {
      const circle = walk(edge.to, [...way, edge]);
      if (circle.length > 0) return circle;
    }
    done.add(folder);
    return [];
  };
  for (const folder of steps.keys()) {
    const circle = walk(folder, []);
    if (circle.length > 0) return circle;
  }
  return [];
}
