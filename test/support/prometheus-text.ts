// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";

/** One sample. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with its samples. */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const sampleForm = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: (-?\d+))?$/s;
const labelForm = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;
const types = ["counter", "gauge", "histogram", "summary", "untyped"];

/**
 * Reads Prometheus' text format 0.0.4 as strictly as its documentation puts it: HELP and TYPE once
 * and before the samples, a family in one piece, no series twice, histograms whose buckets add up.
 */
export function parsePrometheusText(text: string): Map<string, Family> {
  assert.ok(text.endsWith("\n"), "the exposition must end in a newline");
  const families = new Map<
    string,
    { name: string; type: string; help: string; samples: Sample[] }
  >();
  const seen = new Set<string>();
  let current: string | undefined;
  const enter = (name: string) => {
    let family = families.get(name);
    if (!family) {
      family = { name, type: "untyped", help: "", samples: [] };
      families.set(name, family);
    } else {
      assert.equal(current, name, `${name} is in two pieces`);
    }
    current = name;
    return family;
  };
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "" || (line.startsWith("#") && !/^# (HELP|TYPE) /.test(line))) continue;
    if (line.startsWith("# ")) {
      const [, kind, name, ...rest] = line.split(" ");
      assert.match(name ?? "", metricName, `line ${JSON.stringify(line)}`);
      const family = enter(name!);
      assert.equal(family.samples.length, 0, `${kind} of ${name} after its samples`);
      if (kind === "HELP") {
        family.help = rest.join(" ");
      } else {
        assert.ok(types.includes(rest[0] ?? ""), `type of ${name}: ${rest[0]}`);
        family.type = rest[0]!;
      }
      continue;
    }
    const match = sampleForm.exec(line);
    assert.ok(match, `not a sample: ${JSON.stringify(line)}`);
    const [, name, labelText, value] = match;
    const sample = { name: name!, labels: parseLabels(labelText ?? ""), value: parseValue(value!) };
    const series = `${name}${keyOf(sample.labels)}`;
    assert.ok(!seen.has(series), `series twice: ${line}`);
    seen.add(series);
    const family = enter(familyOf(name!, families));
    if (family.type === "counter") assert.ok(sample.value >= 0, `negative counter: ${line}`);
    family.samples.push(sample);
  }
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family);
  return families;
}

function familyOf(name: string, families: ReadonlyMap<string, { type: string }>): string {
  const base = name.replace(/_(bucket|sum|count)$/, "");
  const type = families.get(base)?.type;
  return base !== name && (type === "histogram" || type === "summary") ? base : name;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== "") {
    const match = labelForm.exec(rest);
    assert.ok(match, `not labels: ${JSON.stringify(text)}`);
    const [whole, name, value] = match as unknown as [string, string, string];
    assert.ok(!(name in labels), `label twice: ${text}`);
    labels[name] = value.replaceAll(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** The same text for the same labels, whatever their order. */
function keyOf(labels: Readonly<Record<string, string>>): string {
  const names = Object.keys(labels).toSorted((a, b) => (a < b ? -1 : 1));
  return JSON.stringify(names.map((name) => [name, labels[name]]));
}

function parseValue(text: string): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  if (text === "NaN") return Number.NaN;
  assert.match(text, /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/, `not a value: ${text}`);
  return Number(text);
}

function checkHistogram(family: Family): void {
  const buckets = new Map<string, Sample[]>();
  const counts = new Map<string, number>();
  for (const sample of family.samples) {
    const { le, ...labels } = sample.labels;
    const key = keyOf(labels);
    if (sample.name.endsWith("_bucket")) {
      assert.ok(le !== undefined, `${family.name}: a bucket without le`);
      buckets.set(key, [...(buckets.get(key) ?? []), sample]);
    } else if (sample.name.endsWith("_count")) counts.set(key, sample.value);
  }
  for (const [key, series] of buckets) {
    const values = series.map(({ value }) => value);
    assert.deepEqual(
      values,
      values.toSorted((a, b) => a - b),
      `${family.name} ${key}: buckets fall`,
    );
    const last = series.at(-1)!;
    assert.equal(last.labels["le"], "+Inf", `${family.name} ${key}: no +Inf bucket`);
    assert.equal(
      last.value,
      counts.get(key),
      `${family.name} ${key}: count is not its +Inf bucket`,
    );
  }
}
