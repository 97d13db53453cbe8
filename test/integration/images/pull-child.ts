// SPDX-License-Identifier: Apache-2.0
import { openLibrary } from "./library.ts";

// Pulls an image into the stores of a folder, for a test that kills it in the middle.

const [, , root = "", registry = ""] = process.argv;
const { images } = await openLibrary(root);
await images.pull(`${registry}/a/b:v1`, { signal: AbortSignal.timeout(240_000) });
