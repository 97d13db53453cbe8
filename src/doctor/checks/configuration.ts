// SPDX-License-Identifier: Apache-2.0
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import { error, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";

export const configuration: Check = {
  name: "config",
  about: "the configuration of berthd",
  run: async ({ host, configuration: { problem, isUnread, warnings, sources, file } }) => {
    const check = `berthd config check --config ${shellWord(file)}`;
    if (problem !== undefined) {
      const change = await commentedOut(host, problem);
      return [
        error({
          what: problem,
          why: `berthd does not start with it, and a reload refuses it; ${isUnread ? "what depends on it was not looked at" : "what follows was looked at with the defaults"}`,
          mend:
            change === ""
              ? `${check}; vi ${shellWord(file)}`
              : `${change} && ${check} && systemctl reload-or-restart berthd`,
        }),
      ];
    }
    const read = sources.length === 0 ? "the defaults, there is no file" : sources.join(", ");
    return [
      ok(`the configuration is valid: ${read}`),
      ...warnings.map((what) =>
        warning({ what, why: "it is read, and does not do what it seems to say", mend: check }),
      ),
    ];
  },
};

/** Makes comments of the lines that a problem is about, so that the defaults hold; "" where these cannot be told. */
async function commentedOut(host: Host, problem: string): Promise<string> {
  const lines = new Map<string, Set<number>>();
  const add = (file: string, line: number): void => {
    lines.set(file, (lines.get(file) ?? new Set()).add(line));
  };
  for (const one of problem.split("\n")) {
    const [, broken, line] = /(\/[^:]+):(\d+):\d+: not valid TOML/.exec(host.named(one)) ?? [];
    if (broken !== undefined) add(broken, Number(line));
    const [, key = "", file = ""] = /"([^"]+)" in (\/.*?\.toml)\b/.exec(host.named(one)) ?? [];
    const at = file === "" ? undefined : await onlyLine(host, file, key);
    if (at !== undefined) add(file, at);
    if (broken === undefined && at === undefined) return "";
  }
  return [...lines]
    .map(
      ([file, all]) =>
        `sed -i '${[...all].map((at) => `${at}s/^/# /`).join(";")}' ${shellWord(file)}`,
    )
    .join(" && ");
}

/** The one line that sets a key of that name; undefined where there are more, or none. */
async function onlyLine(host: Host, file: string, key: string): Promise<number | undefined> {
  const name = key.split(".").at(-1) ?? "";
  const text = (await host.text(file)) ?? "";
  const found = text.split("\n").flatMap((line, index) => {
    const [, set] = /^\s*"?([\w-]+)"?\s*=/.exec(line) ?? [];
    return set === name ? [index + 1] : [];
  });
  return found.length === 1 ? found[0] : undefined;
}
