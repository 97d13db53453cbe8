// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { build, type Metafile } from "esbuild";

/** What one bundling made, before its files are shortened: texts by name. */
export interface SplitBundle {
  readonly files: ReadonlyMap<string, string>;
  readonly outputs: Metafile["outputs"];
}

/** A module that is loaded with all that it stands on, and the name of the file that has both. */
export interface MergedModule {
  readonly from: string;
  readonly name: string;
  /** Modules that it loads late, in files of their own, while nothing of a later file is wanted: what those need is in its file. */
  readonly late?: readonly string[];
}

interface Group {
  readonly name: string;
  /** Its files; the first one is the module's own, whose names stay as they are. */
  readonly members: readonly string[];
}

/** An import of esbuild's from a file beside, as it writes each. */
const importBeside =
  /^(?<verb>import|export) (?:\{(?<names>[^}]*)\} from )?"\.\/(?<file>[\w.-]+)";$/gm;
const lateImport = /import\("\.\/(?<file>[\w.-]+)"\)/g;

/**
 * Makes one file of each of these modules and of what it needs, in place of some thirty: a file costs a start half a
 * millisecond. esbuild splits off whatever a late module shares with the others, however small it is. What
 * an earlier module of the list has is not in a later one's file. The entry itself stays as it is: a module that is
 * evaluated until the program ends can be imported by nobody.
 */
export async function mergeParts(
  { files, outputs }: SplitBundle,
  entry: string,
  modules: readonly MergedModule[],
): Promise<ReadonlyMap<string, string>> {
  const parts = new Parts(outputs);
  const seen = new Set([entry]);
  const groups = modules.map(({ from, name, late = [] }): Group => {
    const needed = late.flatMap((module) => parts.closure(parts.ofModule(module)).slice(1));
    const all = new Set([...parts.closure(parts.ofModule(from)), ...needed]);
    const members = [...all].filter((file) => !seen.has(file));
    for (const member of members) seen.add(member);
    return { name: `${name}.js`, members };
  });
  const merged = new Map<string, Group>();
  for (const group of groups) for (const file of group.members) merged.set(file, group);
  const rewritten = new Map(
    [...files].map(([name, text]) => [name, withMerged(text, merged, merged.get(name))]),
  );
  const result = new Map([...rewritten].filter(([name]) => !merged.has(name)));
  for (const group of groups) result.set(group.name, await mergedText(group, rewritten, parts));
  return result;
}

class Parts {
  readonly #outputs = new Map<string, Metafile["outputs"][string]>();

  constructor(outputs: Metafile["outputs"]) {
    for (const [file, output] of Object.entries(outputs)) {
      this.#outputs.set(path.basename(file), output);
    }
  }

  ofModule(module: string): string {
    for (const [file, { entryPoint }] of this.#outputs) if (entryPoint === module) return file;
    throw new Error(`the bundle has no file for ${module}`);
  }

  exportsOf(file: string): readonly string[] {
    return this.#outputs.get(file)?.exports ?? [];
  }

  /** It, and all that it loads before it is evaluated. */
  closure(file: string): readonly string[] {
    const found = new Set([file]);
    for (const one of found) {
      for (const { path: target, kind, external } of this.#outputs.get(one)?.imports ?? []) {
        if (kind === "import-statement" && external !== true) found.add(path.basename(target));
      }
    }
    return [...found];
  }
}

/** A text that imports from merged files what others have in their own; `own` is the group that it goes into itself. */
function withMerged(text: string, merged: ReadonlyMap<string, Group>, own?: Group): string {
  const direct = text.replace(importBeside, (statement, verb: string, names, file: string) => {
    const group = merged.get(file);
    if (group === undefined || group === own) return statement;
    if (names === undefined) return `${verb} "./${group.name}";`;
    const parts = String(names)
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "")
      .map((part) => {
        const [theirs = "", ours = theirs] = part.split(/\s+as\s+/);
        return `${mergedName(group, file, theirs)} as ${ours}`;
      });
    return `${verb} { ${parts.join(", ")} } from "./${group.name}";`;
  });
  return direct.replace(lateImport, (call, file: string) => {
    const group = merged.get(file);
    if (group === undefined) return call;
    if (group.members[0] !== file) throw new Error(`${file} is loaded late, and part of others`);
    return `import("./${group.name}")`;
  });
}

function mergedName({ members }: Group, file: string, name: string): string {
  const index = members.indexOf(file);
  return index === 0 ? name : `part${index}_${name}`;
}

async function mergedText(
  group: Group,
  texts: ReadonlyMap<string, string>,
  parts: Parts,
): Promise<string> {
  const lines = group.members.map((file) => {
    const names = parts
      .exportsOf(file)
      .map((name) => `${name} as ${mergedName(group, file, name)}`);
    return names.length === 0
      ? `import "./${file}";`
      : `export { ${names.join(", ")} } from "./${file}";`;
  });
  const { outputFiles } = await build({
    stdin: { contents: lines.join("\n"), sourcefile: group.name },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node26",
    write: false,
    legalComments: "none",
    charset: "ascii",
    logLevel: "error",
    plugins: [
      {
        name: "merged-parts",
        setup(builder) {
          builder.onResolve({ filter: /./ }, ({ path: wanted }) => {
            const file = path.basename(wanted);
            return wanted.startsWith("./") && group.members.includes(file)
              ? { path: file, namespace: "part" }
              : { path: wanted, external: true };
          });
          builder.onLoad({ filter: /./, namespace: "part" }, ({ path: file }) => ({
            contents: texts.get(file) ?? "",
            loader: "js",
          }));
        },
      },
    ],
  });
  return outputFiles[0]?.text ?? "";
}
