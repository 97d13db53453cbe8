// SPDX-License-Identifier: Apache-2.0
// `npm run soak`: whether anything grows in days of pods, and through kills. --help tells more.
import { writeFile } from "node:fs/promises";
import { parseOptions, usage } from "../test/soak/options.ts";
import { jsonReport, lastLine, resultsOf, textReport } from "../test/soak/report.ts";
import { noFindings, soak } from "../test/soak/soak.ts";
import { lacking, podPrograms } from "../test/support/lacking.ts";

const tell = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") return tell(usage);
  const lacks = lacking(...podPrograms);
  if (lacks !== false) {
    tell(`soak: skipped: ${lacks}`);
    return tell("0 passed, 0 failed, 1 skipped");
  }
  const found = noFindings();
  const report = async (): Promise<void> => {
    const results = resultsOf(found);
    if (options.json !== undefined) {
      await writeFile(options.json, jsonReport(options, found, results));
    }
    tell(textReport(found, results));
    tell(lastLine(results));
    process.exitCode = results.some(({ outcome }) => outcome === "failed") ? 1 : 0;
  };
  await soak(options, found, tell).catch((error: unknown) => found.ledger.note("the soak", error));
  await report();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
