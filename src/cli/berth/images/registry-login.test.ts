// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import type { CliIo } from "../../cli-io.ts";
import type { Terminal } from "../../terminal.ts";
import { type LoginFlags, readLogin } from "./registry-login.ts";

const ioOf = (stdin: string): CliIo => ({
  out: () => {},
  error: () => {},
  env: {},
  terminal: () => ({ stdin: Readable.from([Buffer.from(stdin)]) }) as Partial<Terminal> as Terminal,
});

const logins: readonly (readonly [flags: LoginFlags, stdin: string, login: object | null])[] = [
  [{ passwordStdin: false }, "", null],
  [{ user: "me:p:w", passwordStdin: false }, "", { username: "me", password: "p:w" }],
  [{ user: "me", passwordStdin: true }, "pw\n", { username: "me", password: "pw" }],
  [{ user: "me", passwordStdin: true }, "p w \r\n", { username: "me", password: "p w " }],
];
for (const [flags, stdin, login] of logins) {
  test(`${JSON.stringify(flags)} and ${JSON.stringify(stdin)} are a login`, async () => {
    assert.deepEqual(await readLogin(flags, ioOf(stdin)), login);
  });
}

const bad: readonly (readonly [flags: LoginFlags, stdin: string, why: RegExp])[] = [
  [{ user: "me", passwordStdin: false }, "", /bad --user: expected user:password/],
  [{ user: ":pw", passwordStdin: false }, "", /bad --user/],
  [{ passwordStdin: true }, "pw", /--password-stdin needs --user/],
  [{ user: "me:pw", passwordStdin: true }, "pw", /leave out --password-stdin/],
  [{ user: "me", passwordStdin: true }, "\n", /standard input has no password/],
  [{ user: "me", passwordStdin: true }, "x".repeat(70_000), /has more than 65536 bytes/],
];
for (const [flags, stdin, why] of bad) {
  test(`${JSON.stringify(flags)} and ${stdin.length} bytes are no login`, async () => {
    await assert.rejects(readLogin(flags, ioOf(stdin)), { code: "INVALID_ARGUMENT", message: why });
  });
}
