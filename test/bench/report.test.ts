/** The report stands by itself: nothing is loaded from outside, the plots are drawn, and no text gets out of its place. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { plotSvg } from '../../src/bench/plot.ts';
import { Recorder } from '../../src/bench/recorder.ts';
import { reportHtml } from '../../src/bench/report.ts';
import { outcomeOf } from '../../src/bench/result.ts';
import { resultText } from '../../src/bench/table.ts';
import { scratchFolder } from '../support/scratch.ts';

const HOSTILE = 'http://host/</script><img src=x onerror=alert(1)>/{key}';

function outcome(requests: number) {
  const recorder = new Recorder(0, 10_000, 1000);
  for (let i = 0; i < requests; i++) {
    const atMs = (i * 10_000) / requests;
    recorder.record(atMs, atMs, atMs + 0.1 + (i % 100), 'found', '200', 10, false);
  }
  const plan = {
    keys: { kind: 'range', first: 1, count: 10 },
    distribution: { kind: 'zipf', theta: 0.99 },
    absentShare: 0,
    batch: 0,
    connections: 2,
    threads: 1,
    rate: 100,
    warmupMs: 0,
    durationMs: 10_000,
    intervalMs: 1000,
    timeoutMs: 1000,
    seed: 1,
  } as const;
  return outcomeOf(plan, [recorder.toRecord(0.9)], {
    target: HOSTILE,
    checked: { keys: 100, wrong: [] },
    ceiling: { requests_per_second: 110, p50_us: 20, p99_us: 90, client_busy: 0.97 },
    isInProcess: false,
  });
}

test('the report has its plots, carries the result, loads nothing, and escapes what it is told', () => {
  const { result } = outcome(1000);
  const html = reportHtml(result);
  assert.equal(html.match(/<svg /g)?.length, 3);
  assert.equal(html.match(/<polyline /g)?.length, 5);
  assert.doesNotMatch(
    html,
    /<(img|link|iframe|object|embed|base)\b|<script [^>]*src|@import|url\(|NaN|undefined|Infinity/,
  );
  assert.match(html, /prefers-color-scheme: dark/);
  const [, json = ''] = /<script type="application\/json" id="result">(.*?)<\/script>/.exec(html) ?? [];
  assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(result)));
});

test('a browser shows the report and makes no more of it than it says', (context) => {
  const path = join(scratchFolder(context), 'report.html');
  writeFileSync(path, reportHtml(outcome(1000).result));
  const browser = spawnSync(
    'chromium',
    ['--headless', '--no-sandbox', '--disable-gpu', '--dump-dom', pathToFileURL(path).href],
    { encoding: 'utf8', timeout: 60_000 },
  );
  if ((browser.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    context.diagnostic('no chromium on this machine: the text alone was looked at, by the test above');
    return;
  }
  assert.equal(browser.status, 0, browser.stderr);
  const dom = browser.stdout;
  assert.equal(dom.match(/<polyline /g)?.length, 5);
  assert.equal(dom.match(/<img/g), null);
  assert.match(dom, /<h1>Load on http:\/\/host\/&lt;\/script&gt;/);
});

test('a load without answers gives a report that says so', () => {
  const { result } = outcome(0);
  assert.match(reportHtml(result), /Latency by percentile: nothing to draw/);
  assert.doesNotMatch(reportHtml(result), /NaN|Infinity/);
  assert.match(resultText(result), /warning: no request ended within the measured time/);
});

test('the text has the percentiles, the statuses, the check, and warns of a client that measures itself', () => {
  const { result, hdr } = outcome(1000);
  const text = resultText(result);
  assert.match(text, /open loop at 100 requests\/s, 2 connections, 1 threads, zipf\(0\.99\) over 10 keys/);
  assert.match(text, /p50 49\.\d ms .* p99 98\.\d ms .* max 99\.\d ms/);
  assert.match(text, /statuses +200: 1000\n/);
  assert.match(text, /100 of 100 answers equal a plain read/);
  assert.match(text, /warning: a load thread was busy 90% of its time: these figures measure the client/);
  assert.match(hdr, /Value +Percentile +TotalCount 1\/\(1-Percentile\)/);
  assert.match(hdr, /#\[Max +=.* Total count +=/);
});

test('plots have round ticks, and draw one point and equal points too', () => {
  const options = { title: 't', xLabel: 'x', isLogX: false, isLogY: false, xText: String, yText: String };
  const one = plotSvg({ ...options, series: [{ name: 's', points: [[5, 0]] }] });
  assert.match(one, /<polyline class="s0" points="[0-9.]+,[0-9.]+"\/>/);
  const many = plotSvg({
    ...options,
    series: [
      {
        name: 's',
        points: [
          [0, 0],
          [10, 2400],
        ],
      },
    ],
  });
  assert.deepEqual(
    [...many.matchAll(/dominant-baseline="middle">([0-9.]+)</g)].map(([, tick]) => Number(tick)),
    [0, 500, 1000, 1500, 2000, 2500],
  );
});
