/** `npm run datasets [-- NAME...]`: makes the data sets that are missing, all of them unless some are named. */

import { fileURLToPath } from 'node:url';
import { build } from './build.ts';
import { cities } from './cities.ts';
import { documents } from './documents.ts';
import { flights } from './flights.ts';
import { showProgress } from './progress.ts';

const dataSets = [flights, cities, documents];
const folder = fileURLToPath(new URL('./data/', import.meta.url));

const names = process.argv.slice(2);
const unknown = names.filter((name) => !dataSets.some((set) => set.name === name));
if (unknown.length > 0) {
  const known = dataSets.map((set) => set.name).join(', ');
  process.stderr.write(`datasets: no data set named ${unknown.join(', ')}; there are ${known}\n`);
  process.exitCode = 2;
} else {
  const wanted = dataSets.filter((set) => names.length === 0 || names.includes(set.name));
  const built = wanted.map((set) => build(set, folder, (name) => showProgress(name, process.stderr)));
  const ready = built.map((set) => `${set.name} ${(set.sizeBytes / 1e6).toFixed(1)} MB`).join(', ');
  process.stderr.write(`data sets ready in datasets/data: ${ready}\n`);
}
