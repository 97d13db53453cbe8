// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import {
  type AppArmorProfiles,
  apparmorProfile,
} from "../../../src/cri/oci-spec/apparmor/apparmor.ts";
import { createProfileKernel } from "../../../src/cri/oci-spec/apparmor/profile-kernel.ts";
import { defaultProfileText } from "../../../src/cri/oci-spec/apparmor/profile-text.ts";
import { checkSelinux } from "../../../src/cri/oci-spec/selinux.ts";
import type { SecurityProfile } from "../../../src/gen/cri.gen.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { type FuzzTarget, refused } from "../target.ts";

const profileTypes = ["RuntimeDefault", "Unconfined", "Localhost"] as const;
const loadedNames = ["loaded", "my profile", "localhost/loaded"];

/**
 * What names a label: SELinux levels and AppArmor profiles of requests, and the kernel's own lists and labels. Held
 * against other readings of the same rules; no label changes the text of the default profile around it.
 */
export const target: FuzzTarget = {
  name: "security-labels",
  parses: [
    "src/cri/oci-spec/selinux.ts",
    "src/cri/oci-spec/apparmor/apparmor.ts",
    "src/cri/oci-spec/apparmor/profile-kernel.ts",
    "src/cri/oci-spec/apparmor/profile-text.ts",
  ],
  maxBytes: 512,
  dictionary: [
    "s0",
    "-s15",
    ":c0.c1023",
    ",c7",
    "localhost/",
    "runtime/default",
    "unconfined",
    " (enforce)\n",
    " (complain)",
    "//&",
    '"',
    "\\",
  ],
  *seeds() {
    for (const level of ["", "s0", "s0-s15:c0.c1023", "s0:c1,c2", "s1:c12345", "s0:c1-s1:c2"]) {
      yield Buffer.from(`\0\0${level}`);
    }
    yield Buffer.from(`\0\0s0:c1${",c1".repeat(150)}!`);
    const byName = ["localhost/loaded", "localhost/the-default"];
    for (const asked of ["", "unconfined", "runtime/default", ...byName, "x"]) {
      for (const circumstances of ["\0", "\x03", "\x04", "\x07", "\x0c", "\x17"]) {
        yield Buffer.from(`\x01${circumstances}${asked}`);
      }
    }
    yield Buffer.from("\x02berth-default (enforce)\nmy profile (complain)\n/usr/bin/man (x)\n");
    yield Buffer.from("\x02a//&b (enforce)\n");
    yield Buffer.from('\x02say "x\\" (enforce)');
    yield Buffer.from("\x02 \n\n(enforce)\n x (y) (z)");
  },
  async run(input) {
    const source = new ByteSource(input);
    const kind = source.below(3);
    if (kind === 0) checkLevel(source);
    else if (kind === 1) await checkProfile(source);
    else await checkKernel(source.rest());
  },
};

function checkLevel(source: ByteSource): void {
  const selinux = source.bool();
  const level = source.rest().toString("utf8");
  const options = { user: "", role: "", type: "", level };
  if (!isLevel(level)) return fails(() => checkSelinux(options, { selinux }), "INVALID_ARGUMENT");
  if (selinux && level !== "") {
    return fails(() => checkSelinux(options, { selinux }), "FAILED_PRECONDITION");
  }
  checkSelinux(options, { selinux });
}

function fails(work: () => void, code: "INVALID_ARGUMENT" | "FAILED_PRECONDITION"): void {
  let error: unknown;
  try {
    work();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `it is taken, and not refused with ${code}`);
  refused(error, code);
}

/** One side or two, each a sensitivity with categories: each number by its digits, without an expression for all. */
function isLevel(text: string): boolean {
  if (text === "") return true;
  const sides = text.split("-");
  return sides.length <= 2 && sides.every(isSide);
}

function isSide(text: string): boolean {
  const colon = text.indexOf(":");
  if (!isNumbered(colon < 0 ? text : text.slice(0, colon), "s", 512)) return false;
  if (colon < 0) return true;
  return text
    .slice(colon + 1)
    .split(",")
    .map((one) => one.split("."))
    .every((ends) => ends.length <= 2 && ends.every((end) => isNumbered(end, "c", 4)));
}

function isNumbered(text: string, letter: string, mostDigits: number): boolean {
  const digits = text.slice(1);
  if (!text.startsWith(letter) || digits.length === 0 || digits.length > mostDigits) return false;
  return digits.split("").every((digit) => digit >= "0" && digit <= "9");
}

/** Who asks for confinement gets that, or is refused; nobody is confined less than was asked. */
async function checkProfile(source: ByteSource): Promise<void> {
  const bits = source.byte();
  const text = source.rest().toString("utf8");
  const profile: SecurityProfile | null =
    (bits & 4) === 0
      ? null
      : {
          profileType: profileTypes[(bits >> 3) % 3] ?? "Localhost",
          localhostRef: text,
          ociRef: "",
          baseProfile: null,
        };
  const request = {
    profile,
    legacy: (bits & 4) === 0 ? text : "localhost/other",
    privileged: (bits & 1) !== 0,
    ...((bits & 32) !== 0 && { base: "base" }),
  };
  const apparmor = (bits & 2) !== 0;
  const problem = (bits & 64) !== 0 ? "no parser" : undefined;
  const profiles: AppArmorProfiles = {
    byDefault: {
      name: "the-default",
      ensure: async () => problem,
      describe: () => ({ enabled: true, defaultProfile: "the-default", problem: problem ?? "" }),
    },
    isLoaded: async (name) => loadedNames.includes(name),
  };
  const kind = profile?.profileType ?? text.split("/")[0];
  const isByName = profile ? kind === "Localhost" : text.startsWith("localhost/");
  const name = text.startsWith("localhost/") ? text.slice("localhost/".length) : text;
  let got: string | undefined;
  try {
    got = await apparmorProfile(request, { apparmor }, profiles);
  } catch (error) {
    return refused(error, "INVALID_ARGUMENT", "FAILED_PRECONDITION");
  }
  if (isByName) {
    assert.ok(apparmor && got === name && name !== "", "by name, or not at all");
    assert.ok(name === "the-default" ? problem === undefined : loadedNames.includes(name));
  } else if (profile ? kind === "RuntimeDefault" : text === "runtime/default") {
    assert.ok(apparmor && (request.privileged || problem === undefined));
    assert.equal(got, request.privileged ? undefined : "the-default");
  } else if (profile ? kind === "Unconfined" : text === "unconfined") {
    assert.equal(got, undefined);
  } else {
    assert.ok(text === "" && profile === null, "a form that nobody knows is taken");
    const usual = !apparmor || request.privileged || problem ? undefined : "the-default";
    assert.equal(got, "base" in request ? "base" : usual);
  }
}

async function checkKernel(bytes: Buffer): Promise<void> {
  const root = scratchFolder("security-labels");
  for (const file of ["sys/kernel/security/apparmor/profiles", "proc/self/attr/current"]) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), bytes);
  }
  const kernel = createProfileKernel(root);
  const lines = bytes.toString("utf8").split("\n").map(withoutMode);
  assert.deepEqual([...(await kernel.loaded())].sort(), [...new Set(lines)].sort());
  const label = await kernel.ownLabel();
  const own = withoutMode(bytes.toString("utf8"));
  if (label !== own) assert.ok(label === "unconfined" && (own === "" || /["\\\n]|\/\/&/.test(own)));
  const parser = [4, 1] as const;
  const text = defaultProfileText({ name: "x", daemonLabel: label, parser });
  const plain = defaultProfileText({ name: "x", daemonLabel: "PLAIN", parser });
  // As the parser reads quoted names: a backslash takes the quote behind it for a letter.
  const names = text.match(/"(?:[^"\\]|\\[^])*"/g) ?? [];
  const isUsual = ["unconfined", "runc", "crun"].includes(label);
  assert.equal(names.length, (plain.match(/"[^"]*"/g) ?? []).length - (isUsual ? 2 : 0));
}

/** `name (mode)`: from the end, the mode in small letters. */
function withoutMode(line: string): string {
  const text = line.trim();
  const open = text.lastIndexOf(" (");
  if (open < 0 || !text.endsWith(")")) return text;
  const mode = text.slice(open + 2, -1);
  return mode !== "" && mode.split("").every((letter) => letter >= "a" && letter <= "z")
    ? text.slice(0, open)
    : text;
}
