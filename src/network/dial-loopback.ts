// SPDX-License-Identifier: Apache-2.0

import { closeSync } from "node:fs";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault, isFault } from "../base/errors.ts";
import {
  type AddressFamily,
  isConnected,
  openTcpSocket,
  startConnect,
} from "../base/os/tcp-socket.ts";
import { sleep } from "../base/timers.ts";
import type { NetworkNamespaces } from "./ports.ts";

/** How long to wait for a listener whose queue is full: it answers nothing at all. */
const connectMs = 10_000;
const longestPauseMs = 50;

/**
 * Connects to a port on the loopback of a pinned network namespace, "" for the host's: 127.0.0.1
 * first, then ::1. Answers the descriptor of a non-blocking, close-on-exec socket, the caller's to
 * close. UNAVAILABLE with the reason when neither answers.
 */
export async function dialLoopback(
  namespaces: Pick<NetworkNamespaces, "openTcpSocket">,
  netnsPath: string,
  port: number,
  call: Cancellable,
): Promise<number> {
  const reasons: string[] = [];
  for (const family of ["ipv4", "ipv6"] as const) {
    try {
      const fd =
        netnsPath === ""
          ? openTcpSocket(family)
          : await namespaces.openTcpSocket(netnsPath, family, call);
      return await connect(fd, family, port, call);
    } catch (error) {
      call.signal.throwIfAborted();
      const errno = errnoOf(isFault(error) ? error.cause : error);
      if (errno === undefined) throw error;
      // A kernel without IPv6, or a namespace without ::1, says nothing about the port.
      if (family === "ipv4" || !["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(errno)) {
        reasons.push(`${addresses[family]}: ${words[errno] ?? errno}`);
      }
    }
  }
  throw fault("UNAVAILABLE", `cannot connect to port ${port}: ${reasons.join(", ")}`);
}

const addresses: Readonly<Record<AddressFamily, string>> = { ipv4: "127.0.0.1", ipv6: "::1" };

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ETIMEDOUT: "connection timed out",
};

/** Closes the socket when it fails. */
async function connect(
  fd: number,
  family: AddressFamily,
  port: number,
  call: Cancellable,
): Promise<number> {
  try {
    startConnect(fd, family, port);
    await untilConnected(fd, call);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Connects to the loopback are accepted or refused at once; only a listener whose queue is full makes us wait. */
async function untilConnected(fd: number, { signal }: Cancellable): Promise<void> {
  const giveUpAt = performance.now() + connectMs;
  for (let pauseMs = 1; !isConnected(fd); pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    if (performance.now() >= giveUpAt) {
      throw Object.assign(new Error("connect"), { code: "ETIMEDOUT" });
    }
    await sleep(pauseMs, { signal });
  }
}
