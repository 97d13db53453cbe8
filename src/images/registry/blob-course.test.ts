// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BlobCourse, leastBytes } from "./blob-course.ts";

/** How often a blob that comes in pieces of `piece` makes progress. */
function steps(size: number, piece: number): number {
  const course = new BlobCourse(size);
  course.opened(0);
  let found = 0;
  for (let at = 0; at <= size; at += piece) if (course.advanced(at)) found += 1;
  return found;
}

test("a download makes progress a limited number of times, whatever its size", () => {
  assert.equal(steps(10 * 2 ** 30, leastBytes), 256);
  assert.equal(steps(2 ** 40, 2 ** 24), 256);
  assert.equal(steps(2 ** 20, leastBytes), 64);
  assert.equal(steps(2 ** 20, 1024), 64);
});
