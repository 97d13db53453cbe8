// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Digest } from "../../content/ports.ts";
import type { HttpAnswer } from "./http-answer.ts";
import { completionUrl, receivedOf, sessionOf } from "./upload-session.ts";

const answer = (asked: string, headers: Readonly<Record<string, string>>): HttpAnswer =>
  ({ url: new URL(asked), headers }) as unknown as HttpAnswer;
const asked = "https://r.test:8443/v2/a/blobs/uploads/";
const digest = `sha256:${"0".repeat(64)}` as Digest;

const places: readonly (readonly [location: string, place: string])[] = [
  ["/v2/a/blobs/uploads/1", "https://r.test:8443/v2/a/blobs/uploads/1"],
  ["1?_state=a%2Fb", "https://r.test:8443/v2/a/blobs/uploads/1?_state=a%2Fb"],
  ["https://store.test/x?sig=y%20z", "https://store.test/x?sig=y%20z"],
  // A proxy ends the registry's TLS, which knows itself by plain http alone.
  ["http://r.test/v2/a/blobs/uploads/1", "https://r.test:8443/v2/a/blobs/uploads/1"],
  ["http://r.test:5000/v2/a/blobs/uploads/1", "https://r.test:8443/v2/a/blobs/uploads/1"],
];
for (const [location, place] of places) {
  test(`an upload at "${location}" goes on there`, () => {
    const session = sessionOf(answer(asked, { location }));
    assert.equal(session.url.href, place);
    const complete = completionUrl(session, digest).href;
    const joint = place.includes("?") ? "&" : "?";
    assert.equal(complete, `${place}${joint}digest=${encodeURIComponent(digest)}`);
  });
}

for (const location of ["http://store.test/x", "ftp://r.test/x", "http://", undefined]) {
  test(`an upload at "${location}" is refused`, () => {
    const headers = location === undefined ? {} : { location };
    assert.throws(() => sessionOf(answer(asked, headers)), { code: "FAILED_PRECONDITION" });
  });
}

test("what an answer leaves out is as it was", () => {
  const first = sessionOf(answer(asked, { location: "/u/1", "oci-chunk-min-length": "1000" }));
  assert.deepEqual(sessionOf(answer(asked, {}), first), first);
  assert.equal(sessionOf(answer(asked, { location: "/u/2" }), first).leastBytes, 1000);
});

const ranges: readonly (readonly [range: string, bytes: number | undefined])[] = [
  ["0-0", 0],
  ["0-1023", 1024],
  ["bytes=0-9", 10],
  ["5-9", undefined],
  ["0-", undefined],
  ["0-99999999999999999999", undefined],
];
for (const [range, bytes] of ranges) {
  test(`the range "${range}" tells of ${bytes} bytes`, () => {
    assert.equal(receivedOf(answer(asked, { range })), bytes);
  });
}

for (const [text, least] of [
  ["", 0],
  ["x", 0],
  ["-1", 0],
  ["99999999999", 1024 ** 3],
] as const) {
  test(`a shortest piece of "${text}" is ${least}`, () => {
    const headers = { location: "/u", "oci-chunk-min-length": text };
    assert.equal(sessionOf(answer(asked, headers)).leastBytes, least);
  });
}
