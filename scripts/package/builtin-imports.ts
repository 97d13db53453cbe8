// SPDX-License-Identifier: Apache-2.0
import { isBuiltin } from "node:module";

/** An import of an output of esbuild's, which writes each as one statement, at the beginning of a line. */
const importStatement = /^import\s*(?:(?<what>[^"';]+?)\s*from\s*)?"(?<name>[^"]+)";$/gm;
/** `whole`, `* as whole`, `{ some as other }`, `whole, { some }`. */
const imported = /^(?:\* as )?(?<whole>[\w$]+)?(?:\s*,\s*)?(?:\{(?<named>[^}]*)\})?$/;

/** Those that take a millisecond or more to load, and that much of what starts has no use for. */
const lateOnes = new Set(
  ["child_process", "crypto", "dns", "fs/promises", "http", "http2", "https", "inspector"]
    .concat(
      "readline",
      "sqlite",
      "stream/promises",
      "timers/promises",
      "tls",
      "worker_threads",
      "zlib",
    )
    .flatMap((name) => [name, `node:${name}`]),
);

/** A module's text, and what names in it that it does not bind stand for: esbuild's `define`. */
export interface WithBuiltins {
  readonly text: string;
  readonly define: Readonly<Record<string, string>>;
}

/**
 * A module of a bundle which asks the process for Node's own modules in place of importing them, and for costly ones only
 * when it uses them. What imports one has Node evaluate all that it exports, and with that load what is there to be
 * loaded late: `import "node:http"` brings the client of `fetch`, 40 ms and 16 MB a thread; others bring streams of the
 * web, or its cryptography.
 */
export function withBuiltinsAtHand(text: string): WithBuiltins {
  const bindings: string[] = [];
  const define: Record<string, string> = {};
  const rest = text.replace(
    importStatement,
    (statement, what: string | undefined, name: string) => {
      if (!isBuiltin(name)) return statement;
      // The global that all others are asked of: a binding of its name would stand for itself.
      if (what === undefined || (/^(node:)?process$/.test(name) && what === "process")) return "";
      if (lateOnes.has(name)) {
        const holder = `late_${name.replaceAll(/\W/g, "_")}`;
        bindings.push(lateHolder(holder, name));
        Object.assign(define, lateNames(what, `${holder}.it`));
      } else bindings.push(...bindingsOf(what, `process.getBuiltinModule("${name}")`));
      return "";
    },
  );
  const asking = rest.includes("require") ? [requireHere] : [];
  return { text: [...asking, ...new Set(bindings), rest].join("\n"), define };
}

/** Libraries in CommonJS ask for Node's own modules so, and for what is no part of the bundle. */
const requireHere = `const require = (name) => process.getBuiltinModule(name) ??
  process.getBuiltinModule("node:module").createRequire(import.meta.url)(name);`;

function lateHolder(holder: string, module: string): string {
  return `var ${holder} = { get it() {
  const value = process.getBuiltinModule("${module}");
  Object.defineProperty(this, "it", { value });
  return value;
} };`;
}

function bindingsOf(what: string, module: string): string[] {
  const { whole, named } = partsOf(what);
  return [
    ...(whole === undefined ? [] : [`var ${whole} = ${module};`]),
    ...(named === undefined ? [] : [`var {${named.replaceAll(" as ", ": ")}} = ${module};`]),
  ];
}

function lateNames(what: string, module: string): Record<string, string> {
  const { whole, named } = partsOf(what);
  const names = (named ?? "").split(",").flatMap((part): [string, string][] => {
    const [theirs = "", ours = theirs] = part.trim().split(/\s+as\s+/);
    return theirs === "" ? [] : [[ours, `${module}.${theirs}`]];
  });
  if (whole !== undefined) names.push([whole, module]);
  return Object.fromEntries(names);
}

function partsOf(what: string): {
  readonly whole?: string | undefined;
  readonly named?: string | undefined;
} {
  const groups = imported.exec(what.trim())?.groups;
  const { whole, named } = groups ?? {};
  if (whole === undefined && named === undefined) throw new Error(`no import: ${what}`);
  return { whole, named };
}
