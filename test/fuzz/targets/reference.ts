// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { canonicalName, parseReference, type Reference } from "../../../src/images/reference.ts";
import { type FuzzTarget, refused } from "../target.ts";

const digest = `sha256:${"a1".repeat(32)}`;

export const target: FuzzTarget = {
  name: "reference",
  parses: ["src/images/reference.ts", "src/content/digest.ts"],
  maxBytes: 600,
  dictionary: [
    "docker.io/",
    "index.docker.io/",
    "library/",
    "localhost",
    "[::1]:5000/",
    ":latest",
    `@${digest}`,
    "@sha512:",
    "__",
    "..",
    "A",
  ],
  *seeds() {
    yield Buffer.from(`quay.io/a/b-c/d__e:T.a-g_1@${digest}`);
    // As long as a name may be, and one more.
    yield Buffer.from(`localhost/${"a".repeat(245)}:${"t".repeat(128)}`);
    yield Buffer.from(`localhost/${"a".repeat(246)}:${"t".repeat(129)}`);
  },
  run(input) {
    const text = input.toString("utf8");
    const expected = slowly(text);
    let reference: Reference;
    try {
      reference = parseReference(text);
    } catch (error) {
      refused(error, "INVALID_ARGUMENT");
      assert.equal(expected, undefined, `refused, though it is a name`);
      return;
    }
    assert.deepEqual({ ...reference }, expected);
    const name = canonicalName(reference);
    const again = parseReference(name);
    assert.equal(canonicalName(again), name, "a canonical name is its own");
    assert.equal(again.domain, reference.domain);
    assert.equal(again.repository, reference.repository);
  },
};

/** The same by the grammar of distribution's reference package, a piece at a time; undefined for what is no name. */
function slowly(text: string): Reference | undefined {
  if (text.length === 64 && consistsOf(text, "0123456789abcdef")) return;
  const [named = "", ...digests] = text.split("@");
  const stated = digests.length === 0 ? undefined : digests.join("@");
  if (stated !== undefined && !isDigest(stated)) return;
  const parts = named.split("/");
  const [last = "", ...tags] = (parts.pop() ?? "").split(":");
  // Of a last part with several colons, all but what follows the last one belong to the path, which has none.
  if (tags.length > 1) return;
  const [tag] = tags;
  if (tag !== undefined && !isTag(tag)) return;
  parts.push(last);
  const [first = ""] = parts;
  const isHost = parts.length > 1 && (/[.:A-Z]/.test(first) || first === "localhost");
  const isOther = first.toLowerCase() !== first;
  let domain = "docker.io";
  if (isHost || (parts.length > 1 && isOther)) domain = parts.shift() ?? "";
  if (domain === "index.docker.io") domain = "docker.io";
  if (domain === "docker.io" && parts.length === 1) parts.unshift("library");
  if (!isDomain(domain) || !parts.every(isPart)) return;
  const repository = parts.join("/");
  if (`${domain}/${repository}`.length > 255) return;
  return {
    domain,
    repository,
    tag: tag ?? (stated === undefined ? "latest" : undefined),
    digest: stated as Reference["digest"],
  };
}

const lower = "abcdefghijklmnopqrstuvwxyz";
const digits = "0123456789";
const upper = lower.toUpperCase();
const consistsOf = (text: string, chars: string): boolean =>
  Array.from(text).every((char) => chars.includes(char));

function isDigest(text: string): boolean {
  const [kind, hex = "", ...rest] = text.split(":");
  return (
    kind === "sha256" &&
    rest.length === 0 &&
    hex.length === 64 &&
    consistsOf(hex, `${digits}abcdef`)
  );
}

function isTag(tag: string): boolean {
  const isLong = tag.length === 0 || tag.length > 128;
  return !isLong && !".-".includes(tag[0] ?? "") && consistsOf(tag, `${lower}${upper}${digits}_.-`);
}

/** Words of small letters and digits, held together by `.`, `_`, `__` or any number of `-`. */
function isPart(part: string): boolean {
  let joint = "";
  if (part === "" || !consistsOf(part, `${lower}${digits}._-`)) return false;
  for (const [at, char] of Array.from(part).entries()) {
    if (!"._-".includes(char)) {
      const isJoint = joint === "" || [".", "_", "__"].includes(joint) || consistsOf(joint, "-");
      if (!isJoint || (joint !== "" && joint.length === at)) return false;
      joint = "";
    } else joint += char;
  }
  return joint === "";
}

function isDomain(domain: string): boolean {
  const bracket = domain.startsWith("[") ? domain.indexOf("]") + 1 : domain.indexOf(":");
  const end = bracket > 0 ? bracket : domain.startsWith("[") ? 0 : domain.length;
  const host = domain.slice(0, end);
  const port = domain.slice(end);
  if (port !== "") {
    const number = port.slice(1);
    if (port[0] !== ":" || number.length === 0 || number.length > 5) return false;
    if (!consistsOf(number, digits)) return false;
  }
  if (host.startsWith("[")) {
    const inside = host.slice(1, -1);
    return inside.length > 0 && consistsOf(inside, `${digits}abcdefABCDEF:`);
  }
  return host.split(".").every((label) => {
    const isWord = label !== "" && consistsOf(label, `${lower}${upper}${digits}-`);
    return isWord && !label.startsWith("-") && !label.endsWith("-");
  });
}
