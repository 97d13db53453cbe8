// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

type Verb = "ADD" | "DEL" | "CHECK" | "STATUS" | "GC" | "VERSION";

/**
 * A real plugin, a shell script, that knows all verbs of CNI 1.1 and does what a test tells it. Each
 * ADD gives the same address and holds a file named after the container, as IPAM would; DEL and GC let
 * it go.
 */
export interface ScriptedCni {
  /** For `cni.bin_dirs`. */
  readonly bin: string;
  /** Name of the plugin. */
  readonly type: string;
  /** The verb fails like this from now on; undefined: it works again. */
  fail(
    verb: Verb,
    said: { code: number; msg: string; details?: string } | undefined,
  ): Promise<void>;
  /** The verb hangs from now on, or no longer. */
  hang(verb: Verb, hangs: boolean): Promise<void>;
  /** It puts itself into this cgroup (its folder) from now on, before anything else. */
  enter(cgroup: string | undefined): Promise<void>;
  /** The verbs called so far, with the container's id where there is one: `ADD 4f1c`, `STATUS`. */
  calls(): Promise<string[]>;
  /** What the last call of the verb got on stdin. */
  input(verb: Verb): Promise<Record<string, unknown>>;
  /** Ids of the containers it holds something for. */
  held(): string[];
  /** Makes it hold something for a container that no runtime knows. */
  leak(containerId: string): Promise<void>;
}

export async function scriptCni(folder: string, versions: readonly string[]): Promise<ScriptedCni> {
  const bin = path.join(folder, "scripted-bin");
  const home = path.join(folder, "scripted");
  await mkdir(bin, { recursive: true });
  await mkdir(path.join(home, "held"), { recursive: true });
  const type = "scripted";
  await writeFile(path.join(bin, type), script(home, versions), { mode: 0o755 });
  const set = async (name: string, text: string | undefined): Promise<void> => {
    const file = path.join(home, name);
    if (text === undefined) await rm(file, { force: true });
    else await writeFile(file, text);
  };
  return {
    bin,
    type,
    fail: (verb, said) =>
      set(`fail-${verb}`, said && JSON.stringify({ cniVersion: "1.0.0", ...said })),
    hang: (verb, hangs) => set(`hang-${verb}`, hangs ? "" : undefined),
    enter: (cgroup) => set("cgroup", cgroup),
    calls: async () => {
      const text = await readFile(path.join(home, "calls"), "utf8").catch(() => "");
      return text.split("\n").filter((line) => line !== "");
    },
    input: async (verb) =>
      JSON.parse(await readFile(path.join(home, verb), "utf8")) as Record<string, unknown>,
    leak: (containerId) => set(path.join("held", containerId), ""),
    held: () => readdirSync(path.join(home, "held")).toSorted(),
  };
}

function script(home: string, versions: readonly string[]): string {
  const supported = JSON.stringify({ cniVersion: "1.0.0", supportedVersions: versions });
  return `#!/bin/sh
config=$(cat)
home='${home}'
if [ -e "$home/cgroup" ]; then echo 0 > "$(cat "$home/cgroup")/cgroup.procs"; fi
echo "$CNI_COMMAND\${CNI_CONTAINERID:+ $CNI_CONTAINERID}" >> "$home/calls"
printf '%s' "$config" > "$home/$CNI_COMMAND.$$" && mv "$home/$CNI_COMMAND.$$" "$home/$CNI_COMMAND"
while [ -e "$home/hang-$CNI_COMMAND" ]; do sleep 0.1; done
if [ -e "$home/fail-$CNI_COMMAND" ]; then cat "$home/fail-$CNI_COMMAND"; exit 1; fi
case "$CNI_COMMAND" in
VERSION) echo '${supported}' ;;
ADD)
  touch "$home/held/$CNI_CONTAINERID"
  case "$config" in
  *'"prevResult":'*) printf '%s' "$config" | sed -e 's/.*"prevResult"://' -e 's/}$//' ;;
  *) printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","sandbox":"%s"}],"ips":[{"address":"10.9.8.7/24","interface":0}]}' \\
    "$CNI_IFNAME" "$CNI_NETNS" ;;
  esac ;;
DEL) rm -f "$home/held/$CNI_CONTAINERID" ;;
GC)
  for id in $(ls "$home/held"); do
    case "$config" in *"\\"containerID\\":\\"$id\\""*) ;; *) rm -f "$home/held/$id" ;; esac
  done ;;
esac
exit 0
`;
}
