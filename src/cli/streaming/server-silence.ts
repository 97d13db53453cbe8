// SPDX-License-Identifier: Apache-2.0

/** How long the streaming server may be silent, in milliseconds: it pings every few seconds. */
export const serverSilenceMs = 60_000;

/** Why a command ends whose server is silent. */
export const silentServer = "the streaming server is silent";
