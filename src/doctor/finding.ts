// SPDX-License-Identifier: Apache-2.0

/** From what is as it should be to what keeps pods from running. */
export type Level = "ok" | "note" | "warning" | "error";

/** One thing that a check has to say of the node. */
export interface Finding {
  readonly level: Level;
  /** What is so: a clause that names the object. */
  readonly what: string;
  /** What it leads to; "" where all is well. */
  readonly why: string;
  /** The command that mends it, or what to do where no command does; "" where there is nothing to do. */
  readonly mend: string;
}

/** What a finding that is not "ok" tells. */
export interface Trouble {
  readonly what: string;
  readonly why: string;
  readonly mend: string;
}

export function ok(what: string): Finding {
  return { level: "ok", what, why: "", mend: "" };
}

/** Worth knowing, nothing to worry about. */
export function note(trouble: Trouble): Finding {
  return { level: "note", ...trouble };
}

/** Something works less well than it should, or will fail. */
export function warning(trouble: Trouble): Finding {
  return { level: "warning", ...trouble };
}

/** Pods do not start, or are not what they should be. */
export function error(trouble: Trouble): Finding {
  return { level: "error", ...trouble };
}
