// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";

/** The annotations that ask for limits, as Kubernetes defines them; values in bits per second. */
export const INGRESS_ANNOTATION = "kubernetes.io/ingress-bandwidth";
export const EGRESS_ANNOTATION = "kubernetes.io/egress-bandwidth";

/** The capability argument of the bandwidth plugin: bits per second, bits. 0 means no limit. */
export interface Bandwidth {
  readonly ingressRate: number;
  readonly ingressBurst: number;
  readonly egressRate: number;
  readonly egressBurst: number;
}

const burstBits = 2 ** 32 - 1;
const minimum = 1e3;
const maximum = 1e15;

const multipliers: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The limits a pod's annotations ask for; undefined when none. INVALID_ARGUMENT names a bad annotation. */
export function bandwidthOf(annotations: Readonly<Record<string, string>>): Bandwidth | undefined {
  const ingressRate = rateOf(annotations, INGRESS_ANNOTATION);
  const egressRate = rateOf(annotations, EGRESS_ANNOTATION);
  if (ingressRate === 0 && egressRate === 0) return undefined;
  return {
    ingressRate,
    ingressBurst: ingressRate === 0 ? 0 : burstBits,
    egressRate,
    egressBurst: egressRate === 0 ? 0 : burstBits,
  };
}

function rateOf(annotations: Readonly<Record<string, string>>, name: string): number {
  const text = annotations[name];
  if (text === undefined) return 0;
  const rate = parseQuantity(text);
  if (rate === undefined) {
    throw fault("INVALID_ARGUMENT", `annotation ${name} "${text}" is not a quantity`);
  }
  if (rate < minimum || rate > maximum) {
    throw fault("INVALID_ARGUMENT", `annotation ${name} "${text}" is not between 1k and 1P`);
  }
  return Math.ceil(rate);
}

/** A Kubernetes quantity (`10M`, `1.5Gi`, `2e6`) as a number; undefined when it is none. */
export function parseQuantity(text: string): number | undefined {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/.exec(
    text,
  );
  if (match === null) return undefined;
  const [, digits, exponent, suffix] = match;
  return Number(`${digits}${exponent ?? ""}`) * (multipliers[suffix ?? ""] ?? 1);
}
