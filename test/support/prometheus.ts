/**
 * A strict reader of Prometheus' text format (version 0.0.4): what a lenient scraper would let pass is a fault here.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */

import assert from 'node:assert/strict';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/y;

export function parseMetrics(text: string): ReadonlyMap<string, Family> {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const families = new Map<string, Family & { readonly samples: Sample[] }>();
  const seen = new Set<string>();
  let help: RegExpExecArray | undefined;
  let family: (Family & { readonly samples: Sample[] }) | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    if (line.startsWith('# HELP')) {
      help = HELP.exec(line) ?? assert.fail(line);
      continue;
    }
    if (line.startsWith('#')) {
      const [, name = '', type = ''] = TYPE.exec(line) ?? assert.fail(line);
      assert.equal(help?.[1], name, `${name} has its help right before its type`);
      assert.ok(!families.has(name), `${name} comes once`);
      family = { name, type, help: help?.[2] ?? '', samples: [] };
      families.set(name, family);
      continue;
    }
    const [, name = '', labelText = '', value = ''] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`);
    assert.ok(family !== undefined && isOf(family, name), `${name} stands under its own type`);
    const labels = labelsOf(labelText);
    const id = `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
    assert.ok(!seen.has(id), `${line} comes once`);
    seen.add(id);
    family.samples.push({ name, labels, value: numberOf(value) });
  }
  for (const found of families.values()) checkFamily(found);
  return families;
}

/** The value of the sample with exactly these labels. */
export function sampleValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const wanted = JSON.stringify(Object.entries(labels).sort());
  return family?.samples.find((it) => it.name === name && JSON.stringify(Object.entries(it.labels).sort()) === wanted)
    ?.value;
}

function isOf({ name, type }: Family, sample: string): boolean {
  if (type === 'histogram') return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
  return sample === name;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let at = 0; at < text.length; ) {
    LABEL.lastIndex = at;
    const [whole, name = '', value = ''] = LABEL.exec(text) ?? assert.fail(`no labels: ${text}`);
    assert.ok(!(name in labels), `${name} comes once in ${text}`);
    labels[name] = value.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
    at += whole.length;
  }
  assert.ok(!text.endsWith(','), text);
  return labels;
}

function numberOf(text: string): number {
  return text.endsWith('Inf') ? Number(text.replace('Inf', 'Infinity')) : Number(text);
}

function checkFamily({ name, type, samples }: Family): void {
  if (type === 'counter') {
    assert.match(name, /_total$/, `the counter ${name} says so`);
    for (const { value } of samples) assert.ok(value >= 0, `${name} counts up`);
  }
  if (type === 'histogram') checkHistogram(name, samples);
}

/** Buckets ascend, the last is all, and it is the count. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const groups = Map.groupBy(samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(Object.entries(rest).sort()));
  for (const [group, ofGroup] of groups) {
    const buckets = ofGroup.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => numberOf(labels.le ?? ''));
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, `${name} ${group}`);
    for (let i = 1; i < buckets.length; i++) {
      assert.ok((bounds[i] ?? 0) > (bounds[i - 1] ?? 0), `${name} ${group}: bounds ascend`);
      assert.ok((buckets[i]?.value ?? 0) >= (buckets[i - 1]?.value ?? 0), `${name} ${group}: counts ascend`);
    }
    const count = ofGroup.filter((sample) => sample.name === `${name}_count`);
    assert.deepEqual([count.length, count[0]?.value], [1, buckets.at(-1)?.value], `${name} ${group}`);
    assert.equal(ofGroup.filter((sample) => sample.name === `${name}_sum`).length, 1);
  }
}
