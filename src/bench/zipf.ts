/**
 * Ranks 0 to n - 1, rank r with a probability in proportion to 1 / (r + 1)^theta, drawn in constant time and memory.
 *
 * Rejection-inversion: W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", ACM TOMACS 6(3), 1996. Exact for every theta above 0, also 1 and more.
 */

import type { Random } from '../core/index.ts';

export function zipfRanks(n: number, theta: number, random: Random): () => number {
  const density = (x: number) => Math.exp(-theta * Math.log(x));
  /** The integral of the density, and its inverse. */
  const integral = (x: number) => expm1Over((1 - theta) * Math.log(x)) * Math.log(x);
  const inverse = (y: number) => Math.exp(log1pOver(Math.max(-1, y * (1 - theta))) * y);
  const first = integral(1.5) - 1;
  const last = integral(n + 0.5);
  const sure = 2 - inverse(integral(2.5) - density(2));
  return () => {
    for (;;) {
      const y = last + random() * (first - last);
      const x = inverse(y);
      const rank = Math.min(n, Math.max(1, Math.floor(x + 0.5)));
      if (rank - x <= sure || y >= integral(rank + 0.5) - density(rank)) return rank - 1;
    }
  };
}

function expm1Over(x: number): number {
  return Math.abs(x) > 1e-8 ? Math.expm1(x) / x : 1 + x / 2;
}

function log1pOver(x: number): number {
  return Math.abs(x) > 1e-8 ? Math.log1p(x) / x : 1 - x / 2;
}
