// SPDX-License-Identifier: Apache-2.0
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { build, type Plugin, transform } from "esbuild";
import { withBuiltinsAtHand } from "./builtin-imports.ts";
import { asKeptScript, keeper, keeperFile } from "./kept-scripts.ts";
import { type MergedModule, mergeParts } from "./merge-parts.ts";

/** What one bundling made: files by name, all for one folder, and the npm packages that they have code of. */
export interface Bundle {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Folders of npm packages below the project, such as `node_modules/pino`, in order. */
  readonly packages: readonly string[];
}

/** The programs' own entries, and the names of their files in the bundle. */
const daemon = ["src/cli/berthd.ts", "berthd"] as const;
const client = ["src/cli/berth.ts", "berth"] as const;
/** All that a command of the client loads, but for what only it uses. */
const clientMerged: readonly MergedModule[] = [
  { from: "src/cli/run-berth.ts", name: "berth-command" },
];
/** What the daemon's start loads, one after the other: the command line, what reads the configuration, and the daemon. */
const merged: readonly MergedModule[] = [
  {
    from: "src/cli/berthd.ts",
    name: "berthd-command",
    late: ["src/metadata/sqlite/file-header.ts"], // of `berthd config check`
  },
  { from: "src/cli/serve.ts", name: "berthd-serve" },
  { from: "src/daemon.ts", name: "berthd-daemon" },
];
/** How a module names a thread's entry, or a child program: it is started from a file beside that module. */
const startedModule = /new URL\(\s*"(?<name>[^"]+\.ts)",\s*import\.meta\.url\s*,?\s*\)/g;
const aModule = /\.ts$/;
/** Of 2.8 MB, loaded late by the doctor and by a thread of the daemon's: one file for both. */
const shared = "@kubernetes/client-node";
const sharedFile = "kubernetes-client";
const sharedImport = /import (?!type )\{(?<names>[^}]*)\} from "@kubernetes\/client-node";/g;
/** So imported, all of zod would come along: its messages in fifty languages, its conversions to and from JSON Schema. */
const wholeZod = 'import { z } from "zod";';
const shakenZod = 'import * as z from "zod";';

/** What libraries ask for and never use here, and what they get in its place: 200 KB of code, some of it run at each start. */
const unused: Readonly<Record<string, string>> = {
  // grpc-js: for channelz and ORCA, which nobody serves here.
  "@grpc/proto-loader":
    "exports.loadSync = () => { throw new Error('there is no proto-loader'); };",
  // prom-client: for exemplars, by which a trace would be named.
  "@opentelemetry/api":
    "exports.trace = { getSpan: () => undefined }; exports.context = { active: () => undefined };",
};

/**
 * Bundles berthd and berth: a file for each program, each thread and child program that they start, and each module that
 * they load late. Programs and threads have no files in common: what they share would be in fifty small ones, and each file
 * takes half a millisecond of a start. The files work together in any one folder; a
 * file two folders above, package.json, tells the version. Stack traces keep the names of functions, and lines are
 * short; comments and what only indents is left out, since each thread holds the text of what it runs.
 */
export async function bundle(root: string): Promise<Bundle> {
  const started = startedModules(root);
  const threads = [...started].map((from) => [from, flatName(from)] as const);
  const built = [
    await splitInto(root, started, { parts: "part", entry: daemon }),
    await splitInto(root, started, {
      parts: "client",
      entry: client,
      also: clientMerged.map(({ from, name }) => [from, name] as const),
    }),
    await bundleShared(root),
    await splitInto(root, started, { parts: "part", entry: [keeper, keeperFile] }),
  ];
  for (const entry of threads) {
    built.push(await splitInto(root, started, { parts: "part", entry }));
  }
  const [program, commands, ...others] = built.map(({ outputFiles, metafile }) => ({
    files: new Map(outputFiles.map(({ path: file, text }) => [path.basename(file), text])),
    outputs: metafile.outputs,
  }));
  if (program === undefined || commands === undefined) throw new Error("there is no bundle");
  const texts = [
    await mergeParts(program, `${daemon[1]}.js`, merged),
    await mergeParts(commands, `${client[1]}.js`, clientMerged),
  ].concat(others.map(({ files }) => files));
  const files = texts.flatMap((some) => [...some].map(([name, text]) => finished(name, text)));
  return {
    files: filesOf((await Promise.all(files)).flat()),
    packages: packagesOf(built.flatMap(({ metafile }) => Object.keys(metafile.inputs))),
  };
}

/**
 * Threads and the program have parts of the same kind, named after what is in them: those of one name are one file, and have
 * to be the same.
 */
export function filesOf(
  named: readonly (readonly [name: string, bytes: Uint8Array])[],
): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const [name, bytes] of named) {
    const known = files.get(name);
    if (known !== undefined && Buffer.compare(known, bytes) !== 0) {
      throw new Error(`two files of the bundle are called ${name}, and differ`);
    }
    files.set(name, bytes);
  }
  return files;
}

interface Wanted {
  /** How files for what several have in common, or load late, are called. */
  readonly parts: string;
  /** A module below the project, and the name of the file that it becomes. */
  readonly entry: readonly [from: string, name: string];
  /** Modules that become files of their own. */
  readonly also?: readonly (readonly [from: string, name: string])[];
}

function splitInto(
  root: string,
  started: ReadonlySet<string>,
  { parts, entry, also = [] }: Wanted,
) {
  return build({
    absWorkingDir: root,
    entryPoints: [entry, ...also].map(([from, out]) => ({ in: path.join(root, from), out })),
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node26",
    // Its place is below a node_modules of the package's: it loads a library of the machine's kind.
    external: ["koffi", `./${sharedFile}.js`, `./${keeperFile}.js`],
    outdir: path.join(root, "dist"),
    chunkNames: `${parts}-[hash]`,
    write: false,
    metafile: true,
    legalComments: "none",
    charset: "ascii",
    logLevel: "error",
    plugins: [startsFromBundle(root, started), withShared, withKeeper, withoutUnused, withoutWasm],
  });
}

/** What Berth imports of that library, in a file of its own. */
function bundleShared(root: string) {
  const names = new Set<string>();
  for (const from of globSync("src/**/*.ts", { cwd: root, exclude: ["**/*.test.ts"] }).sort()) {
    const text = readFileSync(path.join(root, from), "utf8");
    for (const match of text.matchAll(sharedImport)) {
      const parts = (match.groups?.["names"] ?? "").split(",").map((part) => part.trim());
      for (const part of parts) if (!/^(type |$)/.test(part)) names.add(part);
    }
  }
  return build({
    absWorkingDir: root,
    stdin: {
      contents: `export { ${[...names].sort().join(", ")} } from "${shared}";`,
      resolveDir: root,
    },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node26",
    outfile: path.join(root, "dist", `${sharedFile}.js`),
    write: false,
    metafile: true,
    legalComments: "none",
    charset: "ascii",
    logLevel: "error",
  });
}

/** Imports are of that file then. */
const withShared: Plugin = {
  name: "with-shared",
  setup(builder) {
    builder.onResolve({ filter: new RegExp(`^${shared}$`) }, () => ({
      path: `./${sharedFile}.js`,
      external: true,
    }));
  },
};

/** Whoever keeps what was compiled has to be the one that ran it. */
const withKeeper: Plugin = {
  name: "with-keeper",
  setup(builder) {
    builder.onResolve({ filter: /\/kept-code\.ts$/ }, ({ kind }) =>
      kind === "entry-point" ? undefined : { path: `./${keeperFile}.js`, external: true },
    );
  },
};

/** The files that become of one. */
async function finished(
  name: string,
  text: string,
): Promise<readonly (readonly [name: string, bytes: Buffer])[]> {
  const short = await shortened(text);
  const isKept = [...merged, ...clientMerged].some((module) => name === `${module.name}.js`);
  const texts = isKept
    ? await asKeptScript(path.parse(name).name, short)
    : [[name, short] as const];
  return texts.map(([file, content]) => [file, Buffer.from(content)] as const);
}

async function shortened(text: string): Promise<string> {
  const { text: asking, define } = withBuiltinsAtHand(text);
  const { code } = await transform(asking, {
    define,
    format: "esm",
    platform: "node",
    target: "node26",
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    legalComments: "none",
    charset: "ascii",
    logLevel: "error",
  });
  return code;
}

/** Modules of src, by their paths below the project, that others start as a thread or a program. */
export function startedModules(root: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const from of globSync("src/**/*.ts", { cwd: root, exclude: ["**/*.test.ts"] }).sort()) {
    const text = readFileSync(path.join(root, from), "utf8");
    for (const match of text.matchAll(startedModule)) {
      found.add(path.join(path.dirname(from), match.groups?.["name"] ?? ""));
    }
  }
  return found;
}

/** Makes modules name what they start as it is called in the bundle. */
function startsFromBundle(root: string, started: ReadonlySet<string>): Plugin {
  return {
    name: "starts-from-bundle",
    setup(builder) {
      builder.onLoad({ filter: aModule }, ({ path: file }) => {
        const from = path.relative(root, file);
        if (!from.startsWith("src/")) return undefined;
        const contents = readFileSync(file, "utf8").replace(startedModule, (_, name: string) => {
          const target = path.join(path.dirname(from), name);
          if (!started.has(target)) throw new Error(`${from} starts ${target}, which is no entry`);
          return `new URL("./${flatName(target)}.js", import.meta.url)`;
        });
        return { contents: contents.replace(wholeZod, shakenZod), loader: "ts" };
      });
    },
  };
}

const withoutUnused: Plugin = {
  name: "without-unused",
  setup(builder) {
    builder.onResolve(
      { filter: /^@(?:grpc\/proto-loader|opentelemetry\/api)$/ },
      ({ path: name }) => ({
        path: name,
        namespace: "unused",
      }),
    );
    builder.onLoad({ filter: /./, namespace: "unused" }, ({ path: name }) => ({
      contents: unused[name] ?? "",
      loader: "js",
    }));
  },
};

/** A library for numbers of 64 bits multiplies by WebAssembly, where there is any: ten milliseconds of each start, for nothing here. */
const withoutWasm: Plugin = {
  name: "without-wasm",
  setup(builder) {
    builder.onLoad({ filter: /\/node_modules\/long\/.*\.js$/ }, ({ path: file }) => {
      const text = readFileSync(file, "utf8");
      const contents = text.replace("new WebAssembly.Module(", "new undefined(");
      if (contents === text) throw new Error(`${file} has no WebAssembly`);
      return { contents, loader: "js" };
    });
  },
};

/** src/trees/worker.ts → trees-worker */
function flatName(module: string): string {
  return module
    .replace(/^src\//, "")
    .replace(aModule, "")
    .replaceAll("/", "-");
}

function packagesOf(inputs: readonly string[]): string[] {
  const found = inputs.map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]);
  return [...new Set(found.filter((name) => name !== undefined))].sort();
}
