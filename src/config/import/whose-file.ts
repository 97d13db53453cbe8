// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { sections } from "../sections.ts";
import type { SourceFile } from "./read-tree.ts";

/** What stands at the top of containerd's files, of any version. */
const containerds = new Set(
  "version root state temp plugin_dir grpc ttrpc debug metrics disabled_plugins required_plugins plugins oom_score cgroup proxy_plugins timeouts imports stream_processors subreaper no_subreaper".split(
    " ",
  ),
);
const ours = new Set(
  sections.flatMap(({ key, fields }) => (key === "" ? fields.map((one) => one.key) : [key])),
);

/**
 * INVALID_ARGUMENT for a file that has nothing of the runtime that it is read as: berthd's own, or nobody's that is known. An
 * empty one is anybody's.
 */
export function checkWhose([first, ...others]: readonly SourceFile[], isCrio: boolean): void {
  if (first === undefined) return;
  const { file, document } = first;
  const keys = Object.keys(document);
  if (keys.length === 0) return;
  if (isCrio) {
    if ([first, ...others].some((one) => "crio" in one.document)) return;
  } else {
    const isOurs = !("version" in document) && keys.every((key) => ours.has(key));
    if (isOurs && keys.some((key) => !containerds.has(key)))
      throw fault(
        "INVALID_ARGUMENT",
        `${file} looks like a configuration of berthd's own, which needs no import: berthd config check ${file}`,
      );
    if (keys.some((key) => containerds.has(key))) return;
  }
  throw fault(
    "INVALID_ARGUMENT",
    `${file} is neither a configuration of containerd's nor of CRI-O's: it has ${keys.slice(0, 5).join(", ").slice(0, 200)} and nothing of theirs`,
  );
}
