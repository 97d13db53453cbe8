// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { removeFolderSync } from "../../src/base/remove-folder.ts";
import { applyEdit, type Edit } from "../../src/migration/edit.ts";
import { isSet } from "../../src/migration/node-kind.ts";

/** Folders that stand for the root of a node. */
export interface NodeRoots extends Disposable {
  readonly make: (files: Readonly<Record<string, string>>) => string;
  /** Settings applied, each twice as by a migration that was cut off, and taken back: the files in between. */
  readonly roundTrip: (
    setting: { readonly edits: readonly Edit[] },
    between?: () => Promise<void>,
  ) => Promise<readonly string[]>;
}

export function openRoots(): NodeRoots {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth-kind-"));
  let made = 0;
  return {
    make: (files) => {
      const root = path.join(folder, String((made += 1)));
      mkdirSync(path.join(root, "proc"), { recursive: true });
      for (const [file, text] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
        writeFileSync(path.join(root, file), text);
      }
      return root;
    },
    roundTrip: async ({ edits }, between = async () => {}) => {
      const files = edits.map(({ file }) => file);
      const before = files.map((file) => tryRead(file));
      for (const edit of [...edits, ...edits]) await applyEdit(edit, "after");
      assert.equal(await isSet({ edits }), true);
      await between();
      const texts = files.map((file) => tryRead(file) ?? "");
      for (const edit of [...edits, ...edits]) await applyEdit(edit, "before");
      assert.equal(await isSet({ edits }), false);
      assert.deepEqual(
        files.map((file) => tryRead(file) || undefined),
        before,
      );
      return texts;
    },
    [Symbol.dispose]: () => removeFolderSync(folder),
  };
}

function tryRead(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
