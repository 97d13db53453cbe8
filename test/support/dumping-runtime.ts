// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { findProgram } from "./lacking.ts";

/** What the stand-in does when it is to dump or restore a container. */
export type DumpMode = "works" | "fails after the first" | "hangs" | "does not restore";

/** A runc that needs no CRIU: of a container it dumps its id, and a restored one starts anew. */
export interface DumpingRuntime {
  readonly binary: string;
  /** From the next dump on. */
  set(mode: DumpMode): Promise<void>;
}

/** `folder` takes its program and what it remembers. */
export async function makeDumpingRuntime(folder: string): Promise<DumpingRuntime> {
  const binary = path.join(folder, "dumping-runc");
  const modeFile = path.join(folder, "mode");
  const runc = findProgram("runc") ?? "";
  await writeFile(
    binary,
    `#!/bin/sh
runc='${runc}' mode=$(cat '${modeFile}') verb= previous=
for it; do
  case $it in checkpoint | restore) [ -n "$verb" ] || verb=$it ;; esac
  case $previous in
    --root) root=$it ;;
    --log) log=$it ;;
    --image-path) image=$it ;;
    --pid-file) pid_file=$it ;;
    --bundle) bundle=$it ;;
  esac
  previous=$it
done
case $verb in
  checkpoint)
    echo "$previous" >"$image/core-1.img"
    [ "$mode" != "hangs" ] || while :; do sleep 0.1 </dev/null >/dev/null 2>&1; done
    if [ "$mode" = "fails after the first" ]; then
      [ ! -e '${modeFile}-once' ] || { echo "criu failed: type DUMP errno 95" >&2; exit 1; }
      touch '${modeFile}-once'
    fi
    ;;
  restore)
    if [ "$mode" = "does not restore" ]; then
      echo '{"level":"error","msg":"criu failed: type RESTORE errno 95"}' >>"$log"
      exit 1
    fi
    "$runc" --root "$root" --log "$log" --log-format json \\
      run --bundle "$bundle" --pid-file "$pid_file" --detach "$previous" || exit
    # CRIU may put the freezer back as it found it when it dumped.
    exec "$runc" --root "$root" pause "$previous"
    ;;
  *) exec "$runc" "$@" ;;
esac
`,
    { mode: 0o755 },
  );
  const set = (mode: DumpMode): Promise<void> => writeFile(modeFile, mode);
  await set("works");
  return { binary, set };
}
