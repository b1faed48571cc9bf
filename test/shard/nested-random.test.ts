/**
 * Random nested files in every form that writers have used, written from the Dremel rules and read through the whole
 * engine: scans and lookups must give the records that were written.
 *
 * FUZZ_RUNS sets how many files (150 unless told), FUZZ_SEED replays a run: file n depends on the seed and n alone.
 */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { type Layout, nestedFile } from '../support/nested-files.ts';
import { EXACT_JSON, type Row, scannedRows } from '../support/nested-oracles.ts';
import { nestedSample } from '../support/nested-samples.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';

const FILES = Number(process.env.FUZZ_RUNS ?? 150);
const LOOKUPS = 5;

function layoutOf(random: () => number): Layout {
  const one = <T>(...items: readonly T[]) => items[Math.floor(random() * items.length)]!;
  return {
    version: one(1, 1, 2),
    entriesPerPage: one(1, 3, 10, 50, 10_000),
    wholeRows: one(false, false, true),
    dictionaryPages: one(0, 0, 1, 3, 1000),
    bitPackedLevels: one(false, false, false, true),
    snappy: one(false, true),
    offsetIndex: one(false, false, true),
    rowsPerRowGroup: one(7, 1000),
    random,
  };
}

function randomFile(n: number): { readonly file: Buffer; readonly rows: Row[]; readonly layout: Layout } {
  const random = randomFrom(FUZZ_SEED * 31 + n);
  const layout = layoutOf(random);
  const samples = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, i) =>
    nestedSample(random, `c${i}`, Math.floor(random() * 4)),
  );
  const records = Array.from({ length: Math.floor(random() * 40) }, (_, id) => [
    { raw: id, json: id },
    ...samples.map((sample) => sample.make()),
  ]);
  const fields = [
    { name: 'id', repetition: 'required', type: 'INT32' } as const,
    ...samples.map((sample) => sample.field),
  ];
  const file = nestedFile(
    fields,
    records.map((record) => record.map(({ raw }) => raw)),
    layout,
  );
  const rows = records.map((record) => Object.fromEntries(record.map(({ json }, i) => [fields[i]!.name, json])));
  return { file, rows, layout };
}

test('scans and lookups of nested files give the records that were written', async (context) => {
  const folder = scratchFolder(context);
  let values = 0;
  for (let n = 0; n < FILES; n += 1) {
    const { file, rows, layout } = randomFile(n);
    const where = `FUZZ_SEED=${FUZZ_SEED}, file ${n}, ${JSON.stringify(layout)}`;
    const path = join(folder, `${n}.parquet`);
    writeFileSync(path, file);
    const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
    const snapshot = await node.catalog.get('t').refresh();
    const projection = snapshot.projection(undefined, EXACT_JSON);
    const random = randomFrom(n);
    for (let i = 0; i < LOOKUPS && rows.length > 0; i += 1) {
      const id = Math.floor(random() * rows.length);
      const key = keyOf(snapshot, String(id));
      const cold = await node.engine.row(snapshot, key, projection, noDeadline);
      assert.deepStrictEqual(JSON.parse(cold.json ?? 'null'), rows[id], `row ${id}, ${where}`);
      assert.equal(node.engine.tryRow(snapshot, key, projection), cold.json, where);
    }
    assert.deepStrictEqual(await scannedRows(node, snapshot), rows, where);
    values += rows.length * (snapshot.columns.length - 1);
    await node.close();
  }
  context.diagnostic(`seed ${FUZZ_SEED}: ${FILES} files, ${values} nested values`);
  assert.ok(values > FILES * 10, `only ${values} values were compared`);
});
