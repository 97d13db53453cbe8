// SPDX-License-Identifier: Apache-2.0
import { isBuiltin } from "node:module";

/** An import of an output of esbuild's, which writes each as one statement, at the beginning of a line. */
const importStatement = /^import\s*(?:(?<what>[^"';]+?)\s*from\s*)?"(?<name>[^"]+)";$/gm;
/** `whole`, `* as whole`, `{ some as other }`, `whole, { some }`. */
const imported = /^(?:\* as )?(?<whole>[\w$]+)?(?:\s*,\s*)?(?:\{(?<named>[^}]*)\})?$/;

/**
 * A module of a bundle which asks the process for Node's own modules in place of importing them. What imports one has Node
 * evaluate all that it exports, and with that load what is there to be loaded late: `import "node:http"` brings the
 * client of `fetch`, 40 ms and 16 MB a thread; others bring streams of the web, or its cryptography.
 */
export function withBuiltinsAtHand(text: string): string {
  const bindings: string[] = [];
  const rest = text.replace(
    importStatement,
    (statement, what: string | undefined, name: string) => {
      if (!isBuiltin(name)) return statement;
      if (what !== undefined)
        bindings.push(...bindingsOf(what, `process.getBuiltinModule("${name}")`));
      return "";
    },
  );
  const asking = rest.includes("require") ? [requireHere] : [];
  return [...asking, ...bindings, rest].join("\n");
}

/** Libraries in CommonJS ask for Node's own modules so, and for what is no part of the bundle. */
const requireHere = `const require = (name) => process.getBuiltinModule(name) ??
  process.getBuiltinModule("node:module").createRequire(import.meta.url)(name);`;

function bindingsOf(what: string, module: string): string[] {
  const { whole, named } = imported.exec(what.trim())?.groups ?? {};
  if (whole === undefined && named === undefined) throw new Error(`no import: ${what}`);
  return [
    ...(whole === undefined ? [] : [`var ${whole} = ${module};`]),
    ...(named === undefined ? [] : [`var {${named.replaceAll(" as ", ": ")}} = ${module};`]),
  ];
}
