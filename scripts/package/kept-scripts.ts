// SPDX-License-Identifier: Apache-2.0
import { build, transform } from "esbuild";

/** The module that runs such scripts, and its file in the bundle. */
export const keeper = "src/base/kept-code.ts";
export const keeperFile = "kept-code";

/**
 * A module of a bundle as a script, of which all that a start compiles can be kept (src/base/kept-code.ts), and the module
 * that runs it and exports what it does. What it imports from files beside it has to be evaluated by then, and its exports are
 * taken once: none may be assigned later. It is as strict as the module was.
 */
export async function asKeptScript(
  name: string,
  text: string,
): Promise<readonly (readonly [name: string, text: string])[]> {
  const scriptName = `${name}-script.js`;
  const { imports, exports } = await facts(text);
  const { code } = await transform(text, {
    define: { "import.meta": "importMeta" },
    format: "cjs",
    platform: "node",
    target: "node26",
    minifyWhitespace: true,
    lineLimit: 160,
    legalComments: "none",
    charset: "ascii",
    logLevel: "error",
  });
  const script = `(function(module,require,importMeta){"use strict";var exports=module.exports;${code}\n})`;
  const lines = [
    `import{runKept}from"./${keeperFile}.js";`,
    ...imports.map((file, index) => `import*as beside${index} from"${file}";`),
    `export const{${exports.join(",")}}=runKept("${scriptName}",import.meta,{${imports
      .map((file, index) => `"${file}":beside${index}`)
      .join(",")}});`,
  ];
  return [
    [`${name}.js`, `${lines.join("\n")}\n`],
    [scriptName, script],
  ];
}

/** What a module imports before it is evaluated, and the names of its exports. */
async function facts(
  text: string,
): Promise<{ readonly imports: readonly string[]; readonly exports: readonly string[] }> {
  const { metafile } = await build({
    stdin: { contents: text },
    bundle: true,
    format: "esm",
    platform: "node",
    write: false,
    metafile: true,
    logLevel: "error",
    plugins: [
      {
        name: "nothing-else",
        setup(builder) {
          builder.onResolve({ filter: /./ }, ({ path }) => ({ path, external: true }));
        },
      },
    ],
  });
  const [output] = Object.values(metafile.outputs);
  const imported = (output?.imports ?? []).filter(({ kind }) => kind === "import-statement");
  return {
    imports: [...new Set(imported.map(({ path }) => path))],
    exports: output?.exports ?? [],
  };
}
