// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import { usageFault } from "../usage-fault.ts";

/** "TERM", "sigterm", "SIGTERM", "15" or "SIGRTMIN+3" as a number. INVALID_ARGUMENT for anything else. */
export function readSignal(text: string): number {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 64) return Number(text);
  const upper = text.toUpperCase();
  const name = upper.startsWith("SIG") ? upper : `SIG${upper}`;
  const realTime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(name);
  if (realTime && Number(realTime[1] ?? 0) <= 30) return 34 + Number(realTime[1] ?? 0);
  const known = (os.constants.signals as Readonly<Record<string, number>>)[name];
  if (known !== undefined) return known;
  throw usageFault(`bad signal "${text}": expected a name such as TERM, or a number`);
}
