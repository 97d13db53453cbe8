// SPDX-License-Identifier: Apache-2.0

/** A published flaw of an OCI runtime by which a container or an image reaches the host. */
export interface RuntimeFlaw {
  readonly id: string;
  readonly what: string;
  /** The first version of each line that has the fix, oldest first; older lines never got it. */
  readonly fixedIn: readonly string[];
  /** The first version that has the flaw; all before the fix when left out. */
  readonly since?: string;
}

/** A handler whose OCI runtime has flaws that are known by its version. */
export interface FlawedRuntime {
  readonly handler: string;
  readonly binary: string;
  readonly version: string;
  /** What its builder says of it, such as a package's version; "" when nothing. */
  readonly build: string;
  readonly flaws: readonly RuntimeFlaw[];
}

/**
 * From the projects' own advisories. A line is added with each new one, and to docs/advisories.md.
 */
export const runtimeFlaws: Readonly<Record<string, readonly RuntimeFlaw[]>> = {
  runc: [
    {
      id: "CVE-2019-5736",
      what: "a container overwrites the host's runc",
      fixedIn: ["1.0.0-rc7"],
    },
    {
      id: "CVE-2019-16884",
      what: "an image's volume over /proc switches AppArmor and SELinux off",
      fixedIn: ["1.0.0-rc9"],
    },
    {
      id: "CVE-2019-19921",
      what: "two containers that share a volume switch AppArmor and SELinux off",
      fixedIn: ["1.0.0-rc10"],
    },
    {
      id: "CVE-2021-30465",
      what: "links that are exchanged while mounting lead a mount to the host",
      fixedIn: ["1.0.0-rc95"],
    },
    {
      id: "CVE-2021-43784",
      what: "long values in a spec switch namespaces off",
      fixedIn: ["1.0.3"],
    },
    {
      id: "CVE-2022-29162",
      what: "execs get inheritable capabilities",
      fixedIn: ["1.1.2"],
    },
    {
      id: "CVE-2023-27561",
      what: "a link in place of /proc switches AppArmor and SELinux off",
      fixedIn: ["1.1.5"],
      since: "1.0.0-rc95",
    },
    {
      id: "CVE-2023-28642",
      what: "a link in place of /proc switches AppArmor off",
      fixedIn: ["1.1.5"],
    },
    {
      id: "CVE-2024-21626",
      what: "a working directory below /proc/self/fd leads to the host's files",
      fixedIn: ["1.1.12"],
      since: "1.0.0-rc93",
    },
    {
      id: "CVE-2024-45310",
      what: "two containers that share a volume make empty files on the host",
      fixedIn: ["1.1.14", "1.2.0-rc.3"],
    },
    {
      id: "CVE-2025-31133",
      what: "a link in place of /dev/null makes a masked path writable",
      fixedIn: ["1.2.8", "1.3.3", "1.4.0-rc.3"],
    },
    {
      id: "CVE-2025-52565",
      what: "a link in place of /dev/console makes the kernel's files writable",
      fixedIn: ["1.2.8", "1.3.3", "1.4.0-rc.3"],
      since: "1.0.0-rc3",
    },
    {
      id: "CVE-2025-52881",
      what: "writes to /proc are led elsewhere: AppArmor off, or the host stopped",
      fixedIn: ["1.2.8", "1.3.3", "1.4.0-rc.3"],
    },
    {
      id: "CVE-2026-41579",
      what: "an image's link in place of /dev makes files on the host; Berth refuses such images",
      fixedIn: ["1.3.6", "1.4.3", "1.5.0-rc.3"],
    },
  ],
  crun: [
    {
      id: "CVE-2019-18837",
      what: "links in an image lead mounts to the host",
      fixedIn: ["0.10.5"],
    },
    {
      id: "CVE-2022-27650",
      what: "execs get inheritable capabilities",
      fixedIn: ["1.4.4"],
    },
    {
      id: "CVE-2025-24965",
      what: "with krun an image writes files on the host",
      fixedIn: ["1.20"],
    },
  ],
};

/** The flaws that a version of `runc` or `crun` has by its number; none of a program we know nothing of. */
export function flawsOf(program: string, version: string): readonly RuntimeFlaw[] {
  const parsed = parse(version);
  if (parsed === undefined) return [];
  const flaws = Object.hasOwn(runtimeFlaws, program) ? (runtimeFlaws[program] ?? []) : [];
  return flaws.filter(({ fixedIn, since }) => {
    if (since !== undefined && compare(parsed, parse(since) ?? parsed) < 0) return false;
    const fixes = fixedIn.map(parse).filter((fix) => fix !== undefined);
    // A fix counts for its own line; the newest line's for all that come after it.
    const own = fixes.find((fix) => fix[0] === parsed[0] && fix[1] === parsed[1]) ?? fixes.at(-1);
    return own !== undefined && compare(parsed, own) < 0;
  });
}

type Version = readonly [major: number, minor: number, patch: number, candidate: number];

/** "1.1.5+ds1", "1.2.0-rc.2", "1.0.0~rc93", "1.20"; undefined for what is no version. */
function parse(text: string): Version | undefined {
  const found = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-~]rc\.?(\d+))?/.exec(text);
  if (!found) return undefined;
  const [, major = "0", minor = "0", patch = "0", candidate] = found;
  return [
    Number(major),
    Number(minor),
    Number(patch),
    candidate === undefined ? Number.MAX_SAFE_INTEGER : Number(candidate),
  ];
}

function compare(left: Version, right: Version): number {
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
