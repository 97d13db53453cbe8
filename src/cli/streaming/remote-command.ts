// SPDX-License-Identifier: Apache-2.0
import type { Readable, Writable } from "node:stream";
import { type ClientOptions, WebSocket } from "ws";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { onAbort } from "../../base/on-abort.ts";
import { Silence } from "../../base/silence.ts";
import { brokenPipe, CommandExit } from "../command-exit.ts";
import { serverSilenceMs, silentServer } from "./server-silence.ts";
import type { TlsOptions } from "./tls-flags.ts";

/** The client's ends of a remote command; without `stdin` the command gets none. */
export interface RemoteStreams {
  readonly stdin?: Readable | undefined;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface RemoteCommandOptions {
  /** As Exec or Attach answered it. */
  readonly url: string;
  readonly streams: RemoteStreams;
  readonly tls: TlsOptions;
  readonly signal: AbortSignal;
  /** Default `serverSilenceMs`. */
  readonly silenceMs?: number;
}

const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const;
const pieceBytes = 32 * 1024;
const waitingBytes = 1024 * 1024;

/**
 * A connection to an exec or attach, by Kubernetes' remote command protocol version 5 over WebSocket. `run` carries
 * the streams until the command ends. In both directions the faster side waits for the slower.
 */
export class RemoteCommand {
  readonly #options: RemoteCommandOptions;
  readonly #socket: WebSocket;
  #silence: Silence | undefined;
  /** Outputs that cannot take more for now. */
  readonly #full = new Set<Writable>();
  #status = "";

  constructor(options: RemoteCommandOptions) {
    this.#options = options;
    const settings: ClientOptions = { perMessageDeflate: false, ...options.tls };
    const url = options.url.replace(/^http/, "ws");
    this.#socket = new WebSocket(url, ["v5.channel.k8s.io"], settings);
  }

  /**
   * Answers the exit code. ABORTED when the connection ends before the command, DEADLINE_EXCEEDED when the server
   * falls silent; a fault also where the command ended without an exit code.
   */
  async run(): Promise<number> {
    const { signal, streams } = this.#options;
    if (signal.aborted) {
      // It is connecting already, and would keep this process alive.
      this.#socket.on("error", () => {}).terminate();
      throw signal.reason;
    }
    using undo = new DisposableStack();
    const silence = undo.use(new Silence(this.#options.silenceMs ?? serverSilenceMs));
    this.#silence = silence;
    const over = Promise.withResolvers<void>();
    const cut = (why: Error): void => {
      over.reject(why);
      this.#socket.terminate();
    };
    undo.use(onAbort(signal, cut));
    const tooSilent = ({ message }: Error): void =>
      cut(fault("DEADLINE_EXCEEDED", `${silentServer}: ${message}`));
    undo.use(onAbort(silence.signal, tooSilent));
    this.#socket.on("error", (cause) => {
      over.reject(fault("ABORTED", `the streaming connection failed: ${cause.message}`, { cause }));
    });
    this.#socket.on("close", () => over.resolve());
    for (const sign of ["open", "ping", "message"]) {
      this.#socket.on(sign, () => silence.broken());
    }
    this.#socket.on("message", (data: Buffer) => this.#receive(data));
    for (const output of [streams.stdout, streams.stderr]) {
      const onGone = (): void => cut(new CommandExit(brokenPipe));
      output.once("error", onGone);
      undo.defer(() => output.off("error", onGone));
    }
    if (streams.stdin) undo.use(this.#feed(streams.stdin));
    await over.promise;
    return exitCodeOf(this.#status);
  }

  /** Sends the terminal's size to the command. */
  resize(size: { readonly width: number; readonly height: number }): void {
    const text = JSON.stringify({ Width: size.width, Height: size.height });
    this.#whenOpen(() => this.#send(channels.resize, Buffer.from(text)));
  }

  #whenOpen(work: () => void): void {
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.once("open", work);
    else work();
  }

  #receive(data: Buffer): void {
    const bytes = data.subarray(1);
    const { stdout, stderr } = this.#options.streams;
    switch (data[0]) {
      case channels.stdout:
        this.#write(stdout, bytes);
        break;
      case channels.stderr:
        this.#write(stderr, bytes);
        break;
      case channels.status:
        this.#status += bytes.toString();
        break;
      default:
        break; // the end of a channel; the connection's end follows
    }
  }

  /** After a pause, what was read already still comes. */
  #write(output: Writable, bytes: Buffer): void {
    if (bytes.length === 0 || output.write(bytes) || this.#full.has(output)) return;
    this.#full.add(output);
    this.#socket.pause();
    this.#silence?.pause();
    output.once("drain", () => {
      this.#full.delete(output);
      if (this.#full.size > 0) return;
      this.#socket.resume();
      this.#silence?.resume();
    });
  }

  #feed(source: Readable): Disposable {
    const onData = (bytes: Buffer): void => {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        this.#send(channels.stdin, bytes.subarray(at, at + pieceBytes), () => {
          if (this.#socket.bufferedAmount < waitingBytes / 2) source.resume();
        });
      }
      if (this.#socket.bufferedAmount >= waitingBytes) source.pause();
    };
    const onEnd = (): void => this.#send(channels.close, Buffer.from([channels.stdin]));
    this.#whenOpen(() => {
      source.on("data", onData).once("end", onEnd).resume();
      if (source.readableEnded) onEnd();
    });
    return {
      [Symbol.dispose]: () => {
        source.off("data", onData).off("end", onEnd).pause();
        // An open standard input would keep this process alive.
        if ("unref" in source) (source as Readable & { unref(): void }).unref();
      },
    };
  }

  #send(channel: number, bytes: Buffer, done?: () => void): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(Buffer.concat([Buffer.from([channel]), bytes]), () => done?.());
  }
}

/** The parts of a Kubernetes Status that say how a command ended. */
interface Status {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { reason?: string; message?: string }[] };
}

function exitCodeOf(text: string): number {
  if (text === "") throw cutShort();
  const { status, reason, message, details } = JSON.parse(text) as Status;
  if (status === "Success") return 0;
  const cause = details?.causes?.find((each) => each.reason === "ExitCode");
  if (reason === "NonZeroExitCode" && cause?.message !== undefined) return Number(cause.message);
  throw fault("FAILED_PRECONDITION", message ?? text);
}

function cutShort(): RuntimeFault {
  return fault("ABORTED", "the connection ended before the command did");
}
