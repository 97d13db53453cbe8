// SPDX-License-Identifier: Apache-2.0
import { shellWord } from "../../base/shell-word.ts";
import { type KubeletFacts, usualFile } from "../facts/kubelet.ts";
import type { Host } from "../host.ts";

/** What sets a key of the kubelet's file; a remark, where a line at its end would break it or not count. */
export async function setKey(
  host: Host,
  kubelet: Pick<KubeletFacts, "file">,
  key: string,
  value: string,
): Promise<string> {
  const file = kubelet.file ?? usualFile;
  const text = (await host.text(file).catch(() => undefined)) ?? "";
  const line = `${key}: ${value}`;
  if (!takesLine(text))
    return `# set ${key} to ${value} in ${file}, whose form takes no line at its end, and restart the kubelet`;
  const name = shellWord(file);
  // A last line may lack its end: what follows would become part of it.
  return `sed -i -e '/^${key}:/d' -e '$a\\' ${name} && echo ${shellWord(line)} >>${name} && systemctl restart kubelet`;
}

/** What takes keys away. */
export function removeKeys(kubelet: Pick<KubeletFacts, "file">, keys: string): string {
  return `sed -i -E '/^(${keys}):/d' ${shellWord(kubelet.file ?? usualFile)} && systemctl restart kubelet`;
}

/** Whether a line behind the text is one more of its settings: not in JSON, nor behind the end of a document. */
function takesLine(text: string): boolean {
  const [first = "", ...rest] = text.split("\n").filter((line) => /^\s*[^\s#]/.test(line));
  return !/^(---)?\s*\{/.test(first) && !rest.some((line) => /^(---|\.\.\.)/.test(line));
}
