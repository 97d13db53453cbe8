// SPDX-License-Identifier: Apache-2.0

/** How long the streaming server may be silent, in milliseconds: it pings every few seconds. */
export const serverSilenceMs = 60_000;

/** What ends a command whose server says nothing any more. */
export const silentServer = "the streaming server is silent";
