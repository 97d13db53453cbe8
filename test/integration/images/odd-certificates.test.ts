// SPDX-License-Identifier: Apache-2.0
// Certificates that Go's clients take: whatever is trusted ends a chain, and keys may be short.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { after, before, test } from "node:test";
import { type CorporateCa, corporateCa } from "../../support/corporate-ca.ts";
import { findProgram } from "../../support/lacking.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type ScriptedImage, scriptedImage, serveImage } from "../../support/scripted-registry.ts";
import { openLibrary } from "./library.ts";

const lack = findProgram("openssl") ? false : "needs openssl";
const skip = process.getuid?.() === 0 ? lack : "needs root";

let home: Scratch;
let image: ScriptedImage;
let root: CorporateCa;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "odd certificates" });
  image = await scriptedImage(await home.folder("layout"), "odd certificates");
  root = await corporateCa(await home.folder("ca"), "Root");
});

after(async () => home?.[Symbol.asyncDispose]());

const elliptic = "ec -pkeyopt ec_paramgen_curve:prime256v1";
const intermediate = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";

interface Signed {
  readonly stem: string;
  readonly by: string;
  readonly extensions?: string;
  readonly key?: string;
}

/** Makes `<stem>.crt` and `<stem>.key`, signed with `<by>.crt`; answers their texts. */
async function sign({
  stem,
  by,
  extensions = "subjectAltName=IP:127.0.0.1\n",
  key = elliptic,
}: Signed) {
  const at = (name: string): string => path.join(home.path, "ca", name);
  await writeFile(at(`${stem}.ext`), extensions);
  const made = ["-keyout", at(`${stem}.key`), "-out", at(`${stem}.csr`)];
  await must("openssl", [...`req -newkey ${key} -nodes -subj /CN=${stem}`.split(" "), ...made]);
  const signer = ["-CA", at(`${by}.crt`), "-CAkey", at(`${by}.key`), "-CAcreateserial"];
  const files = [
    "-in",
    at(`${stem}.csr`),
    "-extfile",
    at(`${stem}.ext`),
    "-out",
    at(`${stem}.crt`),
  ];
  await must("openssl", ["x509", "-req", "-days", "2", ...signer, ...files]);
  const [cert, secret] = await Promise.all([
    readFile(at(`${stem}.crt`), "utf8"),
    readFile(at(`${stem}.key`), "utf8"),
  ]);
  return { cert, key: secret };
}

async function pull(
  name: string,
  tls: { readonly cert: string; readonly key: string; readonly ciphers?: string },
  trusted: string,
): Promise<string> {
  await using registry = await serveImage(image, () => false, tls);
  const configPath = await home.folder(`certs ${name}`);
  await mkdir(path.join(configPath, registry.host));
  await writeFile(path.join(configPath, registry.host, "ca.crt"), trusted);
  const { images } = await openLibrary(await home.folder(name), { registry: { configPath } });
  const signal = AbortSignal.timeout(240_000);
  return (await images.pull(`${registry.host}/a/b:c`, { signal })).id;
}

test("an authority in the middle of a chain may be all that is trusted", { skip }, async () => {
  const middle = await sign({ stem: "middle", by: "ca", extensions: intermediate });
  const { cert, key } = await sign({ stem: "leaf", by: "middle" });
  assert.equal(await pull("leaf alone", { cert, key }, middle.cert), image.id);
  const chain = { cert: cert + middle.cert, key };
  assert.equal(await pull("whole chain", chain, middle.cert), image.id);
  await assert.rejects(pull("other", chain, (await sign({ stem: "else", by: "ca" })).cert), {
    code: "UNAVAILABLE",
    message: /its certificate is signed by an authority that is unknown here \(/,
  });
});

test("a server's own certificate may be what is trusted", { skip }, async () => {
  const tls = await sign({ stem: "own", by: "ca" });
  assert.equal(await pull("own", tls, tls.cert), image.id);
});

test("a key of 1024 bits is taken", { skip }, async () => {
  const tls = await sign({ stem: "short", by: "ca", key: "rsa:1024" });
  const short = { ...tls, ciphers: "DEFAULT@SECLEVEL=1" };
  assert.equal(await pull("short", short, root.cert), image.id);
});

test("a port of the loopback that nothing is said of may speak TLS, with any certificate, or none", {
  skip,
}, async () => {
  const { cert, key } = await sign({
    stem: "local",
    by: "ca",
    extensions: "subjectAltName=DNS:other.test\n",
  });
  const library = async () => openLibrary(await home.folder(`local ${crypto.randomUUID()}`));
  await using secure = await serveImage(image, () => false, { cert, key });
  const { images } = await library();
  const call = { signal: AbortSignal.timeout(240_000) };
  assert.equal((await images.pull(`${secure.host}/a/b:c`, call)).id, image.id);
  // They know nothing of TLS: one breaks off, the other waits for more.
  await using plain = await serveImage(image);
  const [host = "", port = ""] = plain.host.split(":");
  for (const tlsSeen of [
    (client: net.Socket) => client.resetAndDestroy(),
    (client: net.Socket) => client.once("close", () => {}),
  ]) {
    const open = new Set<net.Socket>();
    const before = net.createServer((client) => {
      open.add(client.on("error", () => {}));
      client.once("data", (bytes) => {
        if (bytes[0] === 0x16) return void tlsSeen(client);
        const behind = net.connect(Number(port), host);
        open.add(behind.on("error", () => {}));
        behind.write(bytes);
        client.pipe(behind).pipe(client);
      });
    });
    await new Promise<void>((resolve) => before.listen(0, "127.0.0.1", resolve));
    const { port: at } = before.address() as net.AddressInfo;
    const configPath = await home.folder(`certs ${at}`);
    await mkdir(path.join(configPath, `localhost:${at}`));
    const hostsFile = path.join(configPath, `localhost:${at}`, "hosts.toml");
    await writeFile(hostsFile, 'dial_timeout = "300ms"\n');
    const other = await openLibrary(await home.folder(`plain ${at}`), { registry: { configPath } });
    try {
      assert.equal((await other.images.pull(`localhost:${at}/a/b:c`, call)).id, image.id);
    } finally {
      for (const socket of open) socket.destroy();
      before.close();
    }
  }
});

test("whom a port of the loopback redirects to needs a certificate that is trusted", {
  skip,
}, async () => {
  const { cert, key } = await sign({ stem: "afar", by: "ca" });
  await using afar = await serveImage(image, () => false, { cert, key });
  await using near = await serveImage(image, (request, response) => {
    if (request.url?.includes("/blobs/") !== true) return false;
    response.writeHead(307, { location: `https://${afar.host}${request.url}` }).end();
    return true;
  });
  const { images } = await openLibrary(await home.folder("afar"));
  await assert.rejects(
    images.pull(`${near.host}/a/b:c`, { signal: AbortSignal.timeout(240_000) }),
    /signed by an authority that is unknown here/,
  );
  assert.deepEqual(afar.heard, []);
});
