// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { run } from "../../src/base/process.ts";
import { removeFolderSync } from "../../src/base/remove-folder.ts";
import { type ReleaseOptions, release } from "./release.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth release-"));
after(() => removeFolderSync(folder));
const changelog =
  "# Changelog\n\n## 0.2.0 (not yet released)\n\n- Pods float.\n\n## 0.1.0 (2026-01-01)\n\n- All of it.\n";

class Checkout {
  readonly root = mkdtempSync(path.join(folder, "checkout-"));
  readonly said: string[] = [];
  made = 0;

  static async at(version: string, text = changelog): Promise<Checkout> {
    const checkout = new Checkout();
    const lock = {
      name: "berthd",
      version,
      packages: { "": { version }, other: { version: "9.0.0" } },
    };
    checkout.write(
      "package.json",
      `${JSON.stringify({ name: "berthd", version }, undefined, 2)}\n`,
    );
    checkout.write("package-lock.json", `${JSON.stringify(lock, undefined, 2)}\n`);
    checkout.write("CHANGELOG.md", text);
    await checkout.git("init", "--quiet", "--initial-branch", "main");
    await checkout.git("config", "user.name", "somebody");
    await checkout.git("config", "user.email", "somebody@localhost");
    await checkout.git("add", ".");
    await checkout.git("commit", "--quiet", "-m", "all of it");
    return checkout;
  }

  write(name: string, text: string): void {
    writeFileSync(path.join(this.root, name), text);
  }

  read(name: string): string {
    return readFileSync(path.join(this.root, name), "utf8");
  }

  async git(...args: string[]): Promise<string> {
    return (await run("git", args, { cwd: this.root })).stdout.toString().trim();
  }

  /** Everything that a release may change. */
  async state(): Promise<string> {
    const parts = [["log", "--format=%H"], ["tag"], ["status", "--porcelain"]];
    return (await Promise.all(parts.map((args) => this.git(...args)))).join("\n--\n");
  }

  async release(version: string, change: Partial<ReleaseOptions> = {}): Promise<void> {
    await release({
      root: this.root,
      version,
      date: "2026-12-24",
      isDry: false,
      say: (line) => void this.said.push(line),
      makePackages: async () => void (this.made += 1),
      ...change,
    });
  }
}

test("a release is a version, a date, a commit, a tag and artefacts", async () => {
  const checkout = await Checkout.at("0.1.0");
  await checkout.git("tag", "v0.1.0");
  await checkout.release("0.2.0");
  assert.match(checkout.read("package.json"), /"version": "0\.2\.0"/);
  const lock = JSON.parse(checkout.read("package-lock.json")) as { packages: object };
  assert.deepEqual(lock, {
    name: "berthd",
    version: "0.2.0",
    packages: { "": { version: "0.2.0" }, other: { version: "9.0.0" } },
  });
  assert.equal(
    checkout.read("CHANGELOG.md"),
    changelog.replace("0.2.0 (not yet released)", "0.2.0 (2026-12-24)"),
  );
  assert.equal(await checkout.git("log", "-1", "--format=%s"), "repo: release 0.2.0");
  assert.equal(
    await checkout.git("rev-parse", "v0.2.0^{commit}"),
    await checkout.git("rev-parse", "HEAD"),
  );
  assert.equal(await checkout.git("status", "--porcelain"), "");
  assert.equal(checkout.made, 1);
  assert.ok(checkout.said.includes("- Pods float."));
});

test("the first release has its number already", async () => {
  const first = "# Changelog\n\n## 0.1.0 (not yet released)\n\n### Pods\n\n- All of it.\n";
  const checkout = await Checkout.at("0.1.0", first);
  await checkout.release("0.1.0");
  assert.equal(await checkout.git("tag"), "v0.1.0");
  await assert.rejects(checkout.release("0.1.0"), /the tag v0\.1\.0 is there already/);
});

test("--dry-run changes nothing, and says what would be", async () => {
  const checkout = await Checkout.at("0.1.0");
  const before = await checkout.state();
  await checkout.release("0.2.0", { isDry: true });
  assert.equal(await checkout.state(), before);
  assert.equal(checkout.made, 0);
  assert.match(
    checkout.said.join("\n"),
    /version 0\.2\.0 of .*\n- Pods float\.\nnothing was changed/,
  );
});

const refusals: readonly {
  readonly name: string;
  readonly version?: string;
  readonly text?: string;
  readonly prepare?: (checkout: Checkout) => Promise<unknown>;
  readonly says: RegExp;
}[] = [
  {
    name: "changes that are not committed",
    prepare: async (checkout) => checkout.write("package.json", "{}"),
    says: /changes that are not committed:\n ?M package\.json/,
  },
  {
    name: "a file that git does not know",
    prepare: async (checkout) => checkout.write("new", ""),
    says: /changes that are not committed:\n\?\? new/,
  },
  {
    name: "a tag that is there",
    prepare: (checkout) => checkout.git("tag", "v0.2.0"),
    says: /the tag v0\.2\.0 is there already/,
  },
  {
    name: "a version older than a tag",
    prepare: (checkout) => checkout.git("tag", "v0.10.0"),
    says: /0\.2\.0 is not newer than 0\.10\.0, which is tagged/,
  },
  {
    name: "a version older than package.json's",
    version: "0.0.9",
    says: /0\.0\.9 is not newer than 0\.1\.0, which package\.json has/,
  },
  { name: "what is no version", version: "v0.2", says: /"v0\.2" is no version/ },
  { name: "a flag", version: "--force", says: /"--force" is no version/ },
  {
    name: "a changelog without a section for it",
    text: changelog.replace("not yet released", "2026-02-02"),
    says: /no section "## 0\.2\.0 \(not yet released\)"/,
  },
  {
    name: "a section without an entry",
    text: changelog.replace("- Pods float.\n\n", ""),
    says: /no entry in "## 0\.2\.0 \(not yet released\)"/,
  },
];
for (const { name, version = "0.2.0", text, prepare, says } of refusals) {
  test(`a release is refused over ${name}`, async () => {
    const checkout = await Checkout.at("0.1.0", text);
    await prepare?.(checkout);
    const before = await checkout.state();
    await assert.rejects(checkout.release(version), says);
    await assert.rejects(checkout.release(version, { isDry: true }), says);
    assert.equal(await checkout.state(), before);
    assert.equal(checkout.made, 0);
  });
}

test("a release whose artefacts cannot be made is taken back", async () => {
  const checkout = await Checkout.at("0.1.0");
  const before = await checkout.state();
  const makePackages = async (): Promise<void> => {
    throw new Error("there is no compiler");
  };
  await assert.rejects(checkout.release("0.2.0", { makePackages }), /no compiler/);
  assert.equal(await checkout.state(), before);
  assert.equal(checkout.read("CHANGELOG.md"), changelog);
});
