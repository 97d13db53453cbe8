// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  type PaxRecords,
  parsePax,
  paxNumber,
  paxText,
  paxTime,
} from "../../../src/images/tar/pax.ts";
import { paxBytes } from "../../support/tar-bytes.ts";
import { Bad, slowPax, slowTime, whole } from "../models/slow-tar.ts";
import { type FuzzTarget, refused } from "../target.ts";

export const target: FuzzTarget = {
  name: "pax",
  parses: ["src/images/tar/pax.ts"],
  maxBytes: 1024,
  dictionary: [
    "12 path=abc\n",
    "14 linkpath=a\n",
    "20 mtime=-12.500000\n",
    "10 size=12\n",
    "27 size=9007199254740991 \n",
    "30 SCHILY.xattr.user.abc=\0=\n\n",
    " path=",
    " mtime=",
    " size=",
    " uid=",
    "=",
    "\n",
  ],
  *seeds() {
    yield paxBytes([
      ["path", "a/b"],
      ["uid", "4294967294"],
      ["mtime", "1700000000.123456789"],
    ]);
    yield paxBytes([
      ["mtime", "-1.25"],
      ["SCHILY.xattr.user.x", Buffer.from([0, 10, 61, 255])],
    ]);
    yield paxBytes([
      ["size", "9007199254740991"],
      ["size", ""],
      ["path", "x".repeat(95)],
    ]);
    yield Buffer.concat([
      paxBytes([
        ["", ""],
        ["a=b", "c"],
      ]),
      Buffer.from("\0\0anything"),
    ]);
    yield paxBytes([
      ["mtime", `-0.${"0".repeat(9)}9`],
      ["uid", "0"],
    ]);
  },
  run(input) {
    const expected = attempt(() => slowPax(input));
    const records = either(() => parsePax(input));
    assert.equal(records === undefined, expected === undefined, "both refuse it, or none");
    if (records === undefined || expected === undefined) return;
    assert.deepEqual(records.ordered, expected);
    assert.deepEqual(new Map(records.values), new Map(expected));
    assert.deepEqual(parsePax(paxBytes(records.ordered)).ordered, records.ordered, "written anew");
    for (const [key, value] of records.values) valuesAreRead(records, key, value);
  },
};

function valuesAreRead(records: PaxRecords, key: string, value: Buffer): void {
  const text = value.toString("latin1");
  const isEmpty = value.length === 0;
  const wanted = [
    isEmpty ? undefined : attempt(() => (text.includes("\0") ? wrong() : text)),
    isEmpty ? undefined : attempt(() => whole(text)),
    isEmpty ? undefined : attempt(() => slowTime(value)),
  ];
  const got = [
    either(() => paxText(records, key)),
    either(() => paxNumber(records, key)),
    either(() => paxTime(records, key)),
  ];
  // -0 and 0 are one second.
  assert.deepEqual(JSON.parse(JSON.stringify(got)), JSON.parse(JSON.stringify(wanted)));
  assert.equal(paxText(records, `no ${key}`), undefined);
}

function wrong(): never {
  throw new Bad("wrong");
}

/** Undefined for what is refused. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof Bad) return undefined;
    throw error;
  }
}

function either<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    refused(error, "INVALID_ARGUMENT");
    return undefined;
  }
}
