// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { fault } from "../../base/errors.ts";
import { onAbort } from "../../base/on-abort.ts";
import { Silence } from "../../base/silence.ts";
import { FrameParser } from "../../streaming/spdy/frame-parser.ts";
import {
  controlFrame,
  dataHeader,
  FrameType,
  finFlag,
  pingFrame,
  words,
} from "../../streaming/spdy/frames.ts";
import { serverSilenceMs, silentServer } from "./server-silence.ts";
import type { TlsOptions } from "./tls-flags.ts";

const errorStream = 1;
const dataStream = 3;

/**
 * Carries one local connection to a pod's port, over a SPDY connection of its own: with one pair of streams on it,
 * TCP's flow control is that of the streams, and a refused port affects no other connection. Each half is closed by
 * itself. ABORTED with the reason when the port cannot be reached, the pod's side breaks, or the server falls silent.
 */
export async function forwardConnection(local: Socket, options: ForwardOptions): Promise<void> {
  using _local = { [Symbol.dispose]: () => void local.destroy() };
  using silence = new Silence(options.silenceMs ?? serverSilenceMs);
  const { transport, head } = await upgrade(options, silence.signal);
  using _transport = { [Symbol.dispose]: () => void transport.destroy() };
  const reason = await carry({ local, transport, head, port: options.port, silence });
  if (reason !== "") throw fault("ABORTED", reason);
}

export interface ForwardOptions {
  readonly url: string;
  readonly port: number;
  readonly tls: TlsOptions;
  /** Default `serverSilenceMs`. */
  readonly silenceMs?: number;
}

async function upgrade(
  { url, tls }: ForwardOptions,
  silent: AbortSignal,
): Promise<{ readonly transport: Duplex; readonly head: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ transport: Duplex; head: Buffer }>();
  const { request } = url.startsWith("https:") ? https : http;
  const outgoing = request(url, {
    method: "POST",
    agent: false,
    ...tls,
    headers: {
      connection: "Upgrade",
      upgrade: "SPDY/3.1",
      "x-stream-protocol-version": "portforward.k8s.io",
      "content-length": "0",
    },
  });
  outgoing.once("error", (cause) => {
    reject(fault("ABORTED", `the streaming connection failed: ${cause.message}`, { cause }));
  });
  outgoing.once("upgrade", (_response, transport, head) => resolve({ transport, head }));
  outgoing.once("response", (response) => {
    response.resume();
    reject(fault("ABORTED", `the streaming server refused: ${response.statusCode}`));
  });
  outgoing.end();
  using _reaction = onAbort(silent, () => outgoing.destroy(new Error(silentServer)));
  return await promise;
}

interface Carried {
  readonly local: Socket;
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly port: number;
  readonly silence: Silence;
}

/** Settles with the text of the error stream, "" for none, when both sides have ended or one is gone. */
async function carry({ local, transport, head, port, silence }: Carried): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let reason = "";
  let localEnded = false;
  let remoteEnded = false;
  const end = (): void => resolve(reason);
  const endWhenBothHave = (): void => {
    if (localEnded && remoteEnded) end();
  };
  const parser = new FrameParser({
    onData: (id, bytes, fin) => {
      if (id === errorStream) {
        reason += bytes.toString();
        if (fin && reason !== "") end();
        return;
      }
      if (bytes.length > 0 && !local.write(bytes)) {
        transport.pause();
        silence.pause();
      }
      if (!fin) return;
      remoteEnded = true;
      local.end(endWhenBothHave);
    },
    onControl: (type, _flags, payload) => {
      if (type === FrameType.ping && payload.length >= 4) {
        transport.write(pingFrame(payload.readUInt32BE(0)));
      } else if (type === FrameType.rstStream && payload.readUInt32BE(0) === dataStream) {
        if (!remoteEnded) local.destroy();
      }
    },
  });
  local.on("drain", () => {
    transport.resume();
    silence.resume();
  });
  local.on("data", (bytes: Buffer) => {
    transport.cork();
    transport.write(dataHeader(dataStream, bytes.length, false));
    const more = transport.write(bytes);
    transport.uncork();
    if (!more) local.pause();
  });
  local.once("end", () => {
    localEnded = true;
    transport.write(dataHeader(dataStream, 0, true), endWhenBothHave);
  });
  local.once("error", end).once("close", end);
  transport.on("drain", () => local.resume());
  transport.once("error", end).once("close", end);
  const headers = { port: String(port), requestid: "0" };
  transport.write(
    Buffer.concat([
      openingFrame(errorStream, finFlag, { ...headers, streamtype: "error" }, true),
      openingFrame(dataStream, 0, { ...headers, streamtype: "data" }, false),
    ]),
  );
  if (head.length > 0) parser.push(head);
  transport.on("data", (bytes: Buffer) => {
    silence.broken();
    parser.push(bytes);
  });
  local.resume(); // it was accepted paused
  using _reaction = onAbort(silence.signal, () => resolve(silentServer));
  return await promise;
}

/** SYN_STREAM; its headers are "compressed" as they are, in a stored block. */
function openingFrame(
  id: number,
  flags: number,
  headers: Readonly<Record<string, string>>,
  first: boolean,
): Buffer {
  const entries = Object.entries(headers);
  const text = (value: string): Buffer[] => [words(value.length), Buffer.from(value)];
  const block = Buffer.concat([
    words(entries.length),
    ...entries.flatMap(([name, value]) => [...text(name), ...text(value)]),
  ]);
  const payload = Buffer.concat([
    words(id, 0),
    Buffer.alloc(2),
    ...(first ? [Buffer.from([0x78, 0x01])] : []), // zlib's header comes once
    storedBlock(block),
    storedBlock(Buffer.alloc(0)), // completes the block before it
  ]);
  return controlFrame(FrameType.synStream, flags, payload);
}

function storedBlock(bytes: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt16LE(bytes.length, 1);
  header.writeUInt16LE(~bytes.length & 0xffff, 3);
  return Buffer.concat([header, bytes]);
}
