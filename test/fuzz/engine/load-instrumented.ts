// SPDX-License-Identifier: Apache-2.0
import { registerHooks, stripTypeScriptTypes } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { instrument } from "./instrument.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const runtime = pathToFileURL(path.join(import.meta.dirname, "coverage.ts")).href;

/** What is known of the files that were loaded since `instrumentLoaded`, by path from the project's root. */
export interface LoadedFile {
  readonly firstPlace: number;
  readonly places: number;
  readonly words: readonly string[];
}

/** From now on all of `src/` is loaded instrumented, but for generated files. */
export function instrumentLoaded(): ReadonlyMap<string, LoadedFile> {
  const loaded = new Map<string, LoadedFile>();
  let place = 0;
  let comparison = 0;
  registerHooks({
    load(url, context, nextLoad) {
      const file = url.startsWith("file:") ? path.relative(root, fileURLToPath(url)) : "";
      if (!file.startsWith("src/") || !file.endsWith(".ts") || file.startsWith("src/gen/")) {
        return nextLoad(url, context);
      }
      const { source } = nextLoad(url, context);
      const plain = stripTypeScriptTypes(Buffer.from(source as Uint8Array).toString());
      const made = instrument(plain, { place, comparison, runtime });
      loaded.set(file, { firstPlace: place, places: made.places, words: made.words });
      place += made.places;
      comparison += made.comparisons;
      return { format: "module", source: made.code, shortCircuit: true };
    },
  });
  return loaded;
}
