// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { run } from "../../src/base/process.ts";
import { dateChangelog } from "./changelog.ts";
import { compareVersions, isVersion } from "./versions.ts";

export interface ReleaseOptions {
  /** The checkout. */
  readonly root: string;
  readonly version: string;
  /** The changelog's, as YYYY-MM-DD. */
  readonly date: string;
  /** Only says what it would do. */
  readonly isDry: boolean;
  readonly say: (line: string) => void;
  /** Makes the artefacts of the commit that is checked out. */
  readonly makePackages: () => Promise<void>;
}

const manifests = ["package.json", "package-lock.json"];

/**
 * Makes a release of what is checked out: the version's number, the changelog's date, a commit, a tag and the artefacts.
 * Nothing is pushed. What speaks against it is an error before anything is changed; where the artefacts cannot be
 * made, the commit and the tag are taken back.
 */
export async function release(options: ReleaseOptions): Promise<void> {
  const { root, version, date, isDry, say } = options;
  const git = gitIn(root);
  await refuse(version, options);
  const changelog = path.join(root, "CHANGELOG.md");
  const { text, section } = dateChangelog(readFileSync(changelog, "utf8"), version, date);
  const before = await git("rev-parse", "HEAD");
  say(`version ${version} of ${before.slice(0, 12)}, with this in CHANGELOG.md under ${date}:`);
  say(section);
  if (isDry) return say("nothing was changed (--dry-run)");

  for (const name of manifests) setVersion(path.join(root, name), version);
  writeFileSync(changelog, text);
  const tag = `v${version}`;
  try {
    await git(
      "commit",
      "--quiet",
      "-m",
      `repo: release ${version}`,
      "--",
      ...manifests,
      "CHANGELOG.md",
    );
    await git("tag", "-a", tag, "-m", `Berth ${version}`);
    await options.makePackages();
  } catch (error) {
    if ((await git("tag", "--list", tag)) !== "") await git("tag", "-d", tag);
    // The tree was clean: only what was written here goes, and nothing that came since.
    const own = [before, ...(await git("rev-list", `${before}..HEAD`)).split("\n").filter(Boolean)];
    const changed = (await git("status", "--porcelain", "--untracked-files=no"))
      .split("\n")
      .filter((line) => line !== "" && ![...manifests, "CHANGELOG.md"].includes(line.slice(3)));
    if (own.length > 2 || changed.length > 0) {
      say(`others have changed the tree meanwhile: take the commit back by hand, to ${before}`);
    } else {
      await git("reset", "--quiet", "--hard", before);
      say("the commit and the tag are taken back");
    }
    throw error;
  }
  say(`${tag} is tagged, and nothing is pushed: git push origin HEAD ${tag}`);
}

async function refuse(version: string, { root }: ReleaseOptions): Promise<void> {
  const git = gitIn(root);
  if (!isVersion(version))
    throw new Error(`"${version}" is no version: three numbers, as in 1.2.3`);
  const changed = await git("status", "--porcelain");
  if (changed !== "") throw new Error(`there are changes that are not committed:\n${changed}`);
  const tags = (await git("tag", "--list", "v*")).split("\n").map((tag) => tag.slice(1));
  if (tags.includes(version)) throw new Error(`the tag v${version} is there already`);
  const newest = tags.filter(isVersion).sort(compareVersions).at(-1);
  if (newest !== undefined && compareVersions(version, newest) < 0) {
    throw new Error(`${version} is not newer than ${newest}, which is tagged`);
  }
  const present = versionIn(path.join(root, "package.json"));
  // The first release, or one prepared, has its number already.
  if (compareVersions(version, present) < 0 || (version === present && present === newest)) {
    throw new Error(`${version} is not newer than ${present}, which package.json has`);
  }
}

type Manifest = { version: string; packages?: Record<string, { version?: string }> };

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, "utf8")) as Manifest).version;
}

function setVersion(file: string, version: string): void {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Manifest;
  manifest.version = version;
  const own = manifest.packages?.[""];
  if (own !== undefined) own.version = version;
  writeFileSync(file, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

function gitIn(root: string): (...args: string[]) => Promise<string> {
  return async (...args) => (await run("git", args, { cwd: root })).stdout.toString().trim();
}
