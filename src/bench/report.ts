/**
 * The report: one HTML file that loads nothing, draws its plots itself, and carries the result as JSON for programs.
 * Colours follow the reader's light or dark.
 */

import { escapeHtml, plotSvg } from './plot.ts';
import { type BenchResult, percent } from './result.ts';
import { ceilingText, duration, loadText } from './table.ts';

const STYLE = `
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24; --faint: #6a737d; --grid: #dfe3e8; --s0: #1558b0; --s1: #b3480a; --s2: #7b2d8b; --warn: #9a1c1c; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e4e7ea; --faint: #9aa4ae; --grid: #30363d; --s0: #6cb0ff; --s1: #ff9d5c; --s2: #d693e6; --warn: #ff8f8f; } }
body { background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } figure { margin: 1.6rem 0; } figcaption { font-weight: 600; } small { font-weight: 400; margin-left: 0.6rem; } small span { margin-right: 0.8rem; }
table { border-collapse: collapse; margin-bottom: 1rem; font-variant-numeric: tabular-nums; } th, td { text-align: right; padding: 0.2rem 0.9rem 0.2rem 0; border-bottom: 1px solid var(--grid); } th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; } .warning { color: var(--warn); font-weight: 600; } p.load { color: var(--faint); }
svg { width: 100%; height: auto; } svg text { fill: var(--faint); font-size: 12px; } .grid { stroke: var(--grid); }
polyline { fill: none; stroke-width: 2; } circle { opacity: 0; } circle:hover { opacity: 1; }
polyline.s0 { stroke: var(--s0); } circle.s0 { fill: var(--s0); } span.s0 { color: var(--s0); }
polyline.s1 { stroke: var(--s1); } circle.s1 { fill: var(--s1); } span.s1 { color: var(--s1); }
polyline.s2 { stroke: var(--s2); } circle.s2 { fill: var(--s2); } span.s2 { color: var(--s2); }
`;

export function reportHtml(result: BenchResult): string {
  const title = `Load on ${result.target}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p class="load">${escapeHtml(loadText(result))}</p>
${result.warnings.map((warning) => `<p class="warning">${escapeHtml(warning)}</p>`).join('\n')}
<div class="scroll">${figuresTable(result)}</div>
<div class="scroll">${latencyTable(result)}</div>
${plots(result).join('\n')}
<script type="application/json" id="result">${JSON.stringify(result).replaceAll('<', '\\u003c')}</script>
</body></html>
`;
}

function figuresTable(result: BenchResult): string {
  const { checked } = result;
  const rows: readonly (readonly [string, string])[] = [
    ['requests/s', result.requests_per_second.toFixed(0)],
    ['keys/s', result.keys_per_second.toFixed(0)],
    ['requests', `${result.requests} in ${result.elapsed_seconds} s`],
    ...Object.entries(result.statuses).map(([status, count]) => [`status ${status}`, String(count)] as const),
    ...Object.entries(result.key_statuses).map(([status, count]) => [`sampled keys ${status}`, String(count)] as const),
    ['answers checked', checked === undefined ? 'none' : `${checked.keys}, ${checked.wrong.length} wrong`],
    ['load threads busy', result.client_busy.map(percent).join(', ')],
    ...(result.ceiling === undefined ? [] : [['client ceiling', ceilingText(result.ceiling, result)] as const]),
  ];
  return `<table>${rows.map(([name, value]) => `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(value)}</td></tr>`).join('')}</table>`;
}

function latencyTable({ latency_us: latency, service_us: service, tiers }: BenchResult): string {
  const shares = Object.keys(latency.percentiles);
  const row = (name: string, { percentiles, max, mean }: typeof latency) =>
    `<tr><td>${name}</td>${[...Object.values(percentiles), max, mean].map((value) => `<td>${duration(value)}</td>`).join('')}</tr>`;
  const heads = [...shares.map((share) => `p${share}`), 'max', 'mean'].map((head) => `<th>${head}</th>`).join('');
  const byTier = Object.entries(tiers).map(([tier, answers]) =>
    row(`${answers.requests} from ${tier}`, answers.latency_us),
  );
  const first = service === undefined ? 'latency' : 'from the intended start';
  return `<table><tr><th></th>${heads}</tr>${row(first, latency)}${service === undefined ? '' : row('from the sending', service)}${byTier.join('')}</table>`;
}

function plots({ curve, intervals }: BenchResult): readonly string[] {
  const over = (of: (interval: (typeof intervals)[number]) => number) =>
    intervals.map((interval) => [interval.seconds, of(interval)] as const);
  const timed = (of: (interval: (typeof intervals)[number]) => number) => over(of).filter(([, value]) => value > 0);
  const time = { xLabel: 'seconds', isLogX: false, xText: (x: number) => String(Number(x.toFixed(3))) };
  return [
    plotSvg({
      title: 'Latency by percentile',
      series: [{ name: 'latency', points: curve.map(([outOf, value]) => [outOf, value]) }],
      xLabel: 'percentile',
      isLogX: true,
      isLogY: true,
      xText: percentileText,
      yText: duration,
    }),
    plotSvg({
      title: 'Throughput over time',
      series: [{ name: 'requests/s', points: over((interval) => interval.requests_per_second) }],
      isLogY: false,
      yText: (y) => String(Number(y.toFixed(2))),
      ...time,
    }),
    plotSvg({
      title: 'Latency over time',
      series: [
        { name: 'p50', points: timed((interval) => interval.p50_us) },
        { name: 'p99', points: timed((interval) => interval.p99_us) },
        { name: 'max', points: timed((interval) => interval.max_us) },
      ],
      isLogY: true,
      yText: duration,
      ...time,
    }),
  ];
}

/** One in `outOf` is slower: `1000` is `99.9%`. */
function percentileText(outOf: number): string {
  const share = 100 * (1 - 1 / outOf);
  return `${Number(share.toFixed(Math.max(0, Math.ceil(Math.log10(outOf)) + 1)))}%`;
}
