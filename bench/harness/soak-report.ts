/** What the soak measured: a line of CSV each sample, a line of a table each five minutes, and whether memory is flat. */

import { appendFileSync, writeFileSync } from 'node:fs';

/** Numbers by name, in a fixed order; `seconds` since the start comes first. */
export type Sample = Readonly<Record<string, number>>;

const TABLE_EVERY_SECONDS = 300;
const MIB = 2 ** 20;
/** Growth of resident memory over the second half, as a share of its mean, that still counts as flat. */
const FLAT_SHARE = 0.05;

export class SoakReport {
  readonly #csvPath: string;
  readonly #samples: Sample[] = [];
  #columns: readonly string[] | undefined;
  #tabled = 0;

  constructor(csvPath: string) {
    this.#csvPath = csvPath;
  }

  add(sample: Sample): void {
    if (this.#columns === undefined) {
      this.#columns = Object.keys(sample);
      writeFileSync(this.#csvPath, `${this.#columns.join(',')}\n`);
    }
    this.#samples.push(sample);
    const cells = this.#columns.map((name) => String(Math.round((sample[name] ?? 0) * 1000) / 1000));
    appendFileSync(this.#csvPath, `${cells.join(',')}\n`);
    if ((sample.seconds ?? 0) >= this.#tabled + TABLE_EVERY_SECONDS) this.printLine();
  }

  /** The samples since the last line, as their means; of delays and waits the greatest. */
  printLine(): void {
    const since = this.#samples.filter(({ seconds = 0 }) => seconds > this.#tabled);
    const last = since.at(-1);
    if (last === undefined) return;
    if (this.#tabled === 0) console.log(HEADING);
    const mean = (name: string) => since.reduce((sum, sample) => sum + (sample[name] ?? 0), 0) / since.length;
    const most = (name: string) => Math.max(...since.map((sample) => sample[name] ?? 0));
    const mib = (name: string) => (mean(name) / MIB).toFixed(0);
    const cells = [
      ((last.seconds ?? 0) / 60).toFixed(1),
      mib('rss'),
      mib('heapUsed'),
      mib('external'),
      mib('arrayBuffers'),
      mib('blocks_bytes'),
      String(last.evicted ?? 0),
      ((last.disk_bytes ?? 0) / MIB).toFixed(0),
      mean('delayP50Ms').toFixed(1),
      most('delayP99Ms').toFixed(1),
      most('delayMaxMs').toFixed(0),
      mean('fds').toFixed(0),
      mean('rowP50Ms').toFixed(2),
      most('rowP99Ms').toFixed(1),
      String(last.requests ?? 0),
      String(last.rowsChecked ?? 0),
    ];
    console.log(cells.map((cell, i) => cell.padStart(WIDTHS[i] ?? 8)).join(' '));
    this.#tabled = last.seconds ?? 0;
  }

  /** The most that the cgroup had, without the page cache, which leaves by itself; whether it is within a share of the limit. */
  printCgroup(limitBytes: number, shareMax: number): boolean {
    const most = (name: string) => Math.max(...this.#samples.map((sample) => sample[name] ?? 0));
    const mib = (name: string) => `${(most(name) / MIB).toFixed(0)} MiB`;
    const kills = most('cgroupOomKills');
    const isWithin = kills === 0 && Math.max(most('rss'), most('cgroupAnonBytes')) <= shareMax * limitBytes;
    console.log(
      `cgroup of ${limitBytes / MIB} MiB: resident at most ${mib('rss')} (${((100 * most('rss')) / limitBytes).toFixed(1)}%, ` +
        `${isWithin ? 'within' : 'NOT WITHIN'} ${100 * shareMax}%), charged at most ${mib('cgroupBytes')}: anonymous ${mib('cgroupAnonBytes')}, ` +
        `page cache ${mib('cgroupFileBytes')}; at its limit ${most('cgroupAtLimit')} times, ${kills} OOM kills`,
    );
    return isWithin;
  }

  /** The straight line through resident memory over the second half. */
  printSlope(): void {
    const half = this.#samples.slice(Math.floor(this.#samples.length / 2));
    const points = half.map(({ seconds = 0, rss = 0 }) => ({ x: seconds / 3600, y: rss / MIB }));
    const mean = (of: (point: { x: number; y: number }) => number) =>
      points.reduce((sum, point) => sum + of(point), 0) / points.length;
    const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
    const slope =
      points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) /
      points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
    const growth = slope * ((points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0));
    const evicted = (half.at(-1)?.evicted ?? 0) - (half[0]?.evicted ?? 0);
    const share = growth / y;
    console.log(
      `RSS over the second half: mean ${y.toFixed(0)} MiB, slope ${slope.toFixed(1)} MiB an hour, ` +
        `${(share * 100).toFixed(1)}% in all (${Math.abs(share) <= FLAT_SHARE ? 'flat' : 'NOT FLAT'}); ` +
        `${evicted} blocks evicted meanwhile (${evicted > 0 ? 'the cache is full' : 'THE CACHE IS NOT FULL'})`,
    );
  }
}

const NAMES = ['min', 'rss', 'heap', 'extern', 'buffers', 'blocks', 'evicted', 'disk', 'loop50', 'loop99', 'loopmax'];
const MORE_NAMES = ['fds', 'row50', 'row99', 'requests', 'checked'];
const WIDTHS = [6, 6, 6, 6, 7, 6, 9, 6, 6, 6, 7, 5, 6, 7, 9, 9];
const HEADING = [...NAMES, ...MORE_NAMES].map((name, i) => name.padStart(WIDTHS[i] ?? 8)).join(' ');
