// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errorText } from "./error-text.ts";

const cases: readonly (readonly [body: string, expected: string])[] = [
  ["", ""],
  [
    '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}',
    "TOOMANYREQUESTS: You have reached your pull rate limit.",
  ],
  ['{"errors":[{"code":"DENIED"}]}', "DENIED"],
  ['{"errors":[{"message":"no"},{"code":"X","message":"y"}]}', "no; X: y"],
  ['{"Errors":[{"Code":"X","Message":"y"}]}', "X: y"],
  ['{"errors":null,"message":"gone"}', "gone"],
  ['{"errors":[]}', ""],
  ['{"errors":["no"]}', "no"],
  [`{"errors":[${'{"code":"X","message":"y"},'.repeat(9)}{}]}`, "X: y; X: y; X: y"],
  ['{"details":"incorrect username or password"}', "incorrect username or password"],
  ['{"error":"invalid_grant","error_description":"it is over"}', "invalid_grant: it is over"],
  [
    '{"error":{"code":404,"message":"Requested entity was not found."}}',
    "404: Requested entity was not found.",
  ],
  ["[1]", ""],
  ['{"errors":', ""],
  ["toomanyrequests: slow down\nand so on", "toomanyrequests: slow down"],
  ["<html><head><title>502 Bad\n Gateway</title></head>", 'an HTML page, "502 Bad Gateway"'],
  ["<!DOCTYPE html><body><H1>Access <b>denied</b></H1>", 'an HTML page, "Access denied"'],
  ["<html>", "an HTML page"],
  ["\u001f\u008b\u0000", ""],
  ['{"message":"\\u0007\\u001b[2J\\u202e"}', "??[2J?"],
  ['{"message":"it was s3cret"}', ""],
  ["s3cret", ""],
  [`${"x".repeat(198)}s3cret${"y".repeat(400)}`, ""],
  [`{"message":"${"x".repeat(198)}s3\\u0063ret${"y".repeat(400)}"}`, ""],
  [`<title>${"x".repeat(397)}s3cret</title>`, ""],
];

for (const [body, expected] of cases) {
  test(`errorText reads ${JSON.stringify(body.slice(0, 80))}`, () => {
    assert.equal(errorText(Buffer.from(body), ["", "s3cret"]), expected);
  });
}

test("errorText answers a short line whatever it is given", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 5000 }), fc.json()), (body) => {
      const said = errorText(Buffer.from(body));
      assert.ok(said.length < 500);
      assert.doesNotMatch(said, /[\p{Cc}\p{Cf}]/u);
    }),
  );
});
