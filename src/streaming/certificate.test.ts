// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { FakeSessionHost } from "../../test/support/streaming/fake-session-host.ts";
import { upgradeToSpdy } from "../../test/support/streaming/spdy-client.ts";
import { WsClient } from "../../test/support/streaming/ws-client.ts";
import { silentLogger } from "../base/logger.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { defaultConfig } from "../config/defaults.ts";
import { type CertificateFiles, readCertificate, watchCertificate } from "./certificate.ts";
import { createStreamingServer } from "./streaming-server.ts";

const call = { signal: new AbortController().signal };

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(os.tmpdir(), "berth tls-"));
  t.after(() => removeFolderSync(made));
  return made;
}

/** Makes (or replaces) a certificate for 127.0.0.1 that signs itself. */
function makeCertificate(t: TestContext, dir: string, name: string): CertificateFiles | undefined {
  const files = { certFile: path.join(dir, "tls.crt"), keyFile: path.join(dir, "tls.key") };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const out = ["-keyout", `${files.keyFile}.new`, "-out", `${files.certFile}.new`, "-days", "1"];
  try {
    execFileSync("openssl", ["req", "-x509", ...key, ...subject, ...out], { stdio: "ignore" });
  } catch {
    t.skip("needs openssl");
    return undefined;
  }
  renameSync(`${files.keyFile}.new`, files.keyFile);
  renameSync(`${files.certFile}.new`, files.certFile);
  return files;
}

test("the server speaks TLS, over SPDY and WebSocket, and takes a new certificate", async (t) => {
  const dir = folder(t);
  const files = makeCertificate(t, dir, "first");
  if (files === undefined) return;
  const config = {
    ...defaultConfig.streaming,
    tlsCertFile: files.certFile,
    tlsKeyFile: files.keyFile,
  };
  const host = new FakeSessionHost();
  await using server = await createStreamingServer({ config, host, log: silentLogger });
  const echo = {
    containerId: "c",
    command: ["/bin/echo", "hello"],
    stdin: false,
    stdout: true,
    stderr: false,
    tty: false,
  };
  let ca = readFileSync(files.certFile);
  const url = await server.exec(echo, call);
  assert.match(url, /^https:/);
  const { client } = await upgradeToSpdy(url, ["v4.channel.k8s.io"], { ca });
  assert.ok(client);
  await client.open({ streamtype: "error" });
  const stdout = await client.open({ streamtype: "stdout" });
  assert.equal(await stdout.text(), "hello\n");
  const webSocket = await WsClient.connect(await server.exec(echo, call), "v5.channel.k8s.io", ca);
  assert.equal(await webSocket.closeCode, 1000);
  assert.equal(webSocket.textOf(1), "hello\n");

  makeCertificate(t, dir, "second");
  ca = readFileSync(files.certFile);
  while ((await subjectOf(server.address)) !== "second") {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const again = await WsClient.connect(await server.exec(echo, call), "v5.channel.k8s.io", ca);
  assert.equal(await again.closeCode, 1000);
});

async function subjectOf(address: string): Promise<string> {
  const socket = connect({
    host: "127.0.0.1",
    port: Number(address.split(":")[1]),
    rejectUnauthorized: false,
  });
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return String(name);
}

test("readCertificate tells what is wrong with the files", (t) => {
  const dir = folder(t);
  const files = { certFile: path.join(dir, "none.crt"), keyFile: path.join(dir, "none.key") };
  assert.throws(() => readCertificate(files), { code: "INVALID_ARGUMENT", message: /ENOENT/ });
  writeFileSync(files.certFile, "no certificate");
  writeFileSync(files.keyFile, "no key");
  assert.throws(() => readCertificate(files), { code: "INVALID_ARGUMENT" });
});

test("watchCertificate keeps what it has when the new files are unusable", async (t) => {
  const dir = folder(t);
  const files = makeCertificate(t, dir, "good");
  if (files === undefined) return;
  const told = Promise.withResolvers<unknown>();
  using _watch = watchCertificate(
    files,
    { onChange: () => assert.fail("the files are unusable"), onError: told.resolve },
    5,
  );
  const alive = setInterval(() => {}, 1000); // the watch alone keeps nothing running
  t.after(() => clearInterval(alive));
  writeFileSync(files.certFile, "half a certificate");
  await told.promise;
});
