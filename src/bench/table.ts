/** The result as a person reads it in a terminal. */

import { formatBytes } from '../core/index.ts';
import type { Ceiling } from './ceiling.ts';
import { type BenchResult, type LatencySummary, percent, type TierSummary } from './result.ts';

export function resultText(result: BenchResult): string {
  const { latency_us: latency, service_us: service, checked } = result;
  const rows: (readonly [string, string])[] = [
    ['target', result.target],
    ['load', loadText(result)],
    ['requests', `${result.requests} in ${result.elapsed_seconds} s`],
    ['throughput', throughput(result)],
    ['latency', latencyText(latency)],
    ...(service === undefined ? [] : ([['of which sent', latencyText(service)]] as const)),
    ...Object.entries(result.tiers).map(([tier, answers]) => [`from ${tier}`, tierText(answers, result)] as const),
    ['statuses', tally(result.statuses)],
    ...(Object.keys(result.key_statuses).length === 0
      ? []
      : ([['keys looked into', tally(result.key_statuses)]] as const)),
    ...(checked === undefined
      ? []
      : ([
          ['checked', `${checked.keys - checked.wrong.length} of ${checked.keys} answers equal a plain read`],
        ] as const)),
    ['client busy', result.client_busy.map(percent).join(', ')],
    ...(result.ceiling === undefined ? [] : ([['client ceiling', ceilingText(result.ceiling, result)]] as const)),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
  return [...lines, ...result.warnings.map((warning) => `warning: ${warning}`), ''].join('\n');
}

/** How the load was made, in one line. */
export function loadText({ mode, load }: BenchResult): string {
  const distribution = load.distribution as { readonly kind: string; readonly theta?: number };
  const theta = distribution.theta === undefined ? '' : `(${distribution.theta})`;
  const parts = [
    mode === 'open' ? `open loop at ${load.rate} requests/s` : 'closed loop',
    `${load.connections} connections`,
    `${load.threads} threads`,
    `${distribution.kind}${theta} over ${load.keys} keys`,
    ...(load.batch === 0 ? [] : [`batches of ${load.batch}`]),
    ...(load.absentShare === 0 ? [] : [`${percent(Number(load.absentShare))} absent`]),
    `seed ${load.seed}`,
  ];
  return parts.join(', ');
}

function throughput(result: BenchResult): string {
  const keys = result.load.batch === 0 ? '' : `, ${result.keys_per_second.toFixed(0)} keys/s`;
  return `${result.requests_per_second.toFixed(0)} requests/s${keys}, ${formatBytes(result.bytes_per_second)}/s`;
}

function tierText({ requests, latency_us: latency }: TierSummary, { requests: all }: BenchResult): string {
  return `${percent(requests / Math.max(1, all))}  ${latencyText(latency)}`;
}

/** What the client asks of a server that does nothing, and how much of it this load was. */
export function ceilingText(ceiling: Ceiling, { requests_per_second: rate }: BenchResult): string {
  const { requests_per_second: most, p50_us: p50, p99_us: p99, client_busy: busy } = ceiling;
  const limit = busy < 0.8 ? `; more than that was not asked, the client was busy ${percent(busy)} of its time` : '';
  return `${most.toFixed(0)} requests/s of a server that does nothing, p50 ${duration(p50)}, p99 ${duration(p99)}; this load is ${percent(rate / Math.max(1, most))} of it${limit}`;
}

function latencyText({ mean, max, percentiles }: LatencySummary): string {
  const parts = Object.entries(percentiles).map(([share, value]) => `p${share} ${duration(value)}`);
  return [...parts, `max ${duration(max)}`, `mean ${duration(mean)}`].join('  ');
}

function tally(counts: Readonly<Record<string, number>>): string {
  return (
    Object.entries(counts)
      .map(([name, count]) => `${name}: ${count}`)
      .join(', ') || 'none'
  );
}

/** Microseconds for people. */
export function duration(us: number): string {
  if (us < 1000) return `${us < 10 ? us.toFixed(2) : us.toFixed(0)} us`;
  return us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 2 : 1)} ms` : `${(us / 1e6).toFixed(2)} s`;
}
