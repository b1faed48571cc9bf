/** A line plot as inline SVG, in the colours of the page that it stands in. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface PlotOptions {
  readonly title: string;
  readonly series: readonly Series[];
  readonly xLabel: string;
  readonly isLogX: boolean;
  readonly isLogY: boolean;
  readonly xText: (x: number) => string;
  readonly yText: (y: number) => string;
}

const WIDTH = 840;
const HEIGHT = 320;
const LEFT = 76;
const RIGHT = 30;
const TOP = 14;
const BOTTOM = 44;
const TICKS = 5;

interface Axis {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

export function plotSvg({ title, series, xLabel, isLogX, isLogY, xText, yText }: PlotOptions): string {
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return `<p>${escapeHtml(title)}: nothing to draw.</p>`;
  const x = axis(
    points.map((point) => point[0]),
    isLogX,
    LEFT,
    WIDTH - RIGHT,
  );
  const y = axis([...points.map((point) => point[1]), ...(isLogY ? [] : [0])], isLogY, HEIGHT - BOTTOM, TOP);
  const lines = [
    ...y.ticks.map((tick) => {
      const at = y.at(tick).toFixed(1);
      return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/><text x="${LEFT - 8}" y="${at}" text-anchor="end" dominant-baseline="middle">${escapeHtml(yText(tick))}</text>`;
    }),
    ...x.ticks.map((tick) => {
      const at = x.at(tick).toFixed(1);
      return `<line class="grid" x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text x="${at}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${escapeHtml(xText(tick))}</text>`;
    }),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(xLabel)}</text>`,
    ...series.map(({ name, points: own }, i) => {
      const places = own.map(([px, py]) => `${x.at(px).toFixed(1)},${y.at(py).toFixed(1)}`);
      const dots = own.map(
        ([px, py]) =>
          `<circle class="s${i}" cx="${x.at(px).toFixed(1)}" cy="${y.at(py).toFixed(1)}" r="3"><title>${escapeHtml(`${name}: ${yText(py)} at ${xText(px)}`)}</title></circle>`,
      );
      return `<polyline class="s${i}" points="${places.join(' ')}"/>${dots.join('')}`;
    }),
  ];
  const legend = series.map(({ name }, i) => `<span class="s${i}">${escapeHtml(name)}</span>`).join(' ');
  return `<figure><figcaption>${escapeHtml(title)} <small>${legend}</small></figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${lines.join('')}</svg></figure>`;
}

function axis(values: readonly number[], isLog: boolean, from: number, to: number): Axis {
  const positive = isLog ? values.filter((value) => value > 0) : values;
  const min = positive.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const max = positive.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  return isLog ? logAxis(min, max, from, to) : linearAxis(min, max, from, to);
}

function linearAxis(min: number, max: number, from: number, to: number): Axis {
  const step = roundStep((max - min || Math.abs(max) || 1) / TICKS);
  const low = Math.floor(min / step) * step;
  const high = Math.max(low + step, Math.ceil(max / step) * step);
  const at = (value: number) => from + ((value - low) / (high - low)) * (to - from);
  const count = Math.round((high - low) / step);
  return { at, ticks: Array.from({ length: count + 1 }, (_, i) => low + i * step) };
}

/** Whole decades; halves and doubles between them where there are few. */
function logAxis(min: number, max: number, from: number, to: number): Axis {
  if (!Number.isFinite(min)) return linearAxis(0, 1, from, to);
  const low = Math.floor(Math.log10(min));
  const high = Math.max(low + 1, Math.ceil(Math.log10(max) - 1e-9));
  const at = (value: number) => {
    const exponent = Math.min(high, Math.max(low, Math.log10(Math.max(value, Number.MIN_VALUE))));
    return from + ((exponent - low) / (high - low)) * (to - from);
  };
  const within = high - low <= 2 ? [1, 2, 5] : [1];
  const ticks = Array.from({ length: high - low }, (_, i) => within.map((factor) => factor * 10 ** (low + i))).flat();
  return { at, ticks: [...ticks, 10 ** high] };
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return ([1, 2, 5, 10].find((factor) => factor * power >= step) ?? 10) * power;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
