/**
 * Metrics as Prometheus reads them: families of samples, written as text.
 *
 * Written here and not by prom-client, whose collectors keep a map of labels a sample and take 12 to 40 ms for the ten
 * thousand samples of a thousand tables, in which nobody is answered; this takes 1 to 3
 * (docs/adr/0017-metrics-counted-in-place.md).
 */

import { DURATION_BOUNDS_MS, type DurationHistogram } from '../core/index.ts';

export interface MetricFamily {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One sentence, on one line. */
  readonly help: string;
  /** Writes what the counters say at this moment. */
  readonly collect: (samples: Samples) => void;
}

const BOUND_LABELS: readonly string[] = [...DURATION_BOUNDS_MS.map((ms) => `le="${ms / 1000}"`), 'le="+Inf"'];

/** The samples of one family. Labels come as `labels` writes them, so that those of a table are written once. */
export class Samples {
  readonly #name: string;
  text: string;

  constructor({ name, type, help }: MetricFamily) {
    this.#name = name;
    this.text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  }

  add(labelText: string, value: number): void {
    this.#line('', labelText, value);
  }

  /** In seconds, as Prometheus has it; each bucket with those before it. */
  addDurations(labelText: string, histogram: DurationHistogram): void {
    const before = labelText === '' ? '' : `${labelText},`;
    let count = 0;
    for (const [i, bucket] of histogram.counts.entries()) {
      count += bucket;
      this.#line('_bucket', `${before}${BOUND_LABELS[i]}`, count);
    }
    this.#line('_sum', labelText, histogram.sumMs / 1000);
    this.#line('_count', labelText, count);
  }

  #line(suffix: string, labelText: string, value: number): void {
    const number = Number.isFinite(value) ? `${value}` : notFinite(value);
    this.text +=
      labelText === '' ? `${this.#name}${suffix} ${number}\n` : `${this.#name}${suffix}{${labelText}} ${number}\n`;
  }
}

export function familyText(family: MetricFamily): string {
  const samples = new Samples(family);
  family.collect(samples);
  return samples.text;
}

/** `table="users",status="2xx"` */
export function labels(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

function escaped(value: string): string {
  return value.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function notFinite(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}
