// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkPulledProfile } from "./check-pulled-profile.ts";
import { profileContext } from "./profile-context.ts";
import { ProfileReader } from "./profile-reader.ts";
import type { ProfileTask } from "./profile-task.ts";

const reader = new ProfileReader();
const call = () => ({ signal: AbortSignal.timeout(60_000) });
const context = profileContext([], { architecture: "amd64", kernelRelease: "6.1.0" });
const task = (kind: ProfileTask["kind"], text: string): ProfileTask => ({
  kind,
  what: "the profile",
  text: Buffer.from(text),
  context,
});
const profile = (rules: readonly string[], defaultAction = "SCMP_ACT_ERRNO"): string =>
  `{"defaultAction":"${defaultAction}","syscalls":[${rules.join()}]}`;
const many = (count: number, rule: (n: number) => string): string[] =>
  Array.from({ length: count }, (_, n) => rule(n));
const plain = (names: string): string => `{"names":[${names}],"action":"SCMP_ACT_ALLOW"}`;
const when = (value: number, names = '"read"', more = ""): string =>
  `{"names":[${names}],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":${value},"op":"SCMP_CMP_EQ"${more}}]}`;
const padded = (text: string, bytes: number): string => text.padEnd(bytes, " ");
const allowed = '{"names":["read"],"action":"SCMP_ACT_ALLOW"}';

const taken: readonly { name: string; kind: ProfileTask["kind"]; text: string; rules: number }[] = [
  { name: "a short file", kind: "file", text: profile([allowed]), rules: 1 },
  { name: "a file of 1 MiB", kind: "file", text: padded(profile([allowed]), 2 ** 20), rules: 1 },
  {
    name: "as many conditions as a filter can have",
    kind: "file",
    text: profile(many(2048, (n) => when(n))),
    rules: 2048,
  },
  {
    name: "thousands of rules, of which few are for this process",
    kind: "file",
    text: profile([
      allowed,
      ...many(9000, () => '{"names":["a"],"action":"SCMP_ACT_LOG","includes":{"caps":["CAP_X"]}}'),
    ]),
    rules: 1,
  },
  // With the default profile's refusal of clone3, which has a number of its own.
  { name: "a pulled profile", kind: "pulled", text: profile([allowed]), rules: 2 },
  {
    name: "a pulled profile of 128 KiB",
    kind: "pulled",
    text: padded(profile([allowed]), 128 * 1024),
    rules: 2,
  },
];
for (const { name, kind, text, rules } of taken) {
  test(`ProfileReader takes ${name}`, async () => {
    const { syscalls } = await reader.read(task(kind, text), call());
    assert.equal(syscalls?.length, rules);
    assert.deepEqual(syscalls?.[0]?.names, ["read"]);
  });
}

const refused: readonly { name: string; text: string; says: RegExp }[] = [
  {
    name: "a list of a hundred thousand calls",
    text: profile([plain(many(100_000, () => '"a"').join())]),
    says: /more than 8192 system calls/,
  },
  {
    name: "many rules about nothing",
    text: profile(many(9000, () => plain(""))),
    says: /more than 2048 rules/,
  },
  {
    name: "many conditions",
    text: profile(many(2049, (n) => when(n))),
    says: /more than 2048 conditional rules/,
  },
  {
    name: "a few conditions on many calls",
    text: profile(many(3, (n) => when(n, many(1000, (at) => `"c${at}"`).join()))),
    says: /more than 2048 conditional rules/,
  },
  {
    name: "a name of 1 MB",
    text: profile([plain(`"${"n".repeat(1_000_000)}"`)]),
    says: /a name of more than 128/,
  },
  {
    name: "many architectures",
    text: `{"defaultAction":"SCMP_ACT_LOG","architectures":[${many(9000, () => '"a"').join()}]}`,
    says: /more than 8192 system calls/,
  },
  { name: "no JSON", text: "[".repeat(1_000_000), says: /JSON|nested|depth/i },
];
for (const { name, text, says } of refused) {
  test(`ProfileReader refuses a file with ${name}`, async () => {
    await assert.rejects(reader.read(task("file", text), call()), says);
  });
}

const places: readonly [name: string, isHere: boolean, task: ProfileTask][] = [
  ["a short file is read here", true, task("file", profile([allowed]))],
  [
    "a file of 1 MiB is read by a thread",
    false,
    task("file", profile(many(9000, (n) => when(n, '"x"', `,"valueTwo":${n}`)))),
  ],
  [
    "a short pulled profile is read by a thread",
    false,
    task("pulled", profile(many(120, (n) => when(n).replace("EQ", "NE")))),
  ],
];
for (const [name, isHere, work] of places) {
  test(`ProfileReader: ${name}`, async () => {
    let isDone = false;
    const reading = reader
      .read(work, call())
      .catch(() => {})
      .then(() => (isDone = true));
    // What is done here is done within microtasks; what a thread answers comes with a later turn.
    for (let task = 0; task < 50; task += 1) await Promise.resolve();
    assert.equal(isDone, isHere);
    await reading;
  });
}

test("a profile that has no common form with the default one is refused at its pull", async () => {
  const check = (text: string) => checkPulledProfile(Buffer.from(text), reader, call());
  const masked = (action: string, valueTwo: number): string =>
    `{"names":["clone"],"action":"${action}","args":[{"index":0,"value":3,"valueTwo":${valueTwo},"op":"SCMP_CMP_MASKED_EQ"}]}`;
  await check(profile([masked("SCMP_ACT_ALLOW", 0)]));
  await assert.rejects(
    check(profile([masked("SCMP_ACT_ERRNO", 3)], "SCMP_ACT_ALLOW")),
    /conditions on "clone" cannot be combined: a masked comparison has no opposite/,
  );
  await assert.rejects(check('{"defaultAction":"ALLOW"}'), /defaultAction/);
  await assert.rejects(
    check('{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_S390"]}'),
    /for no architecture/,
  );
});
