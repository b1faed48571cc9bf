import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PageLocations } from '../../src/parquet/index.ts';
import { BlockPlaces, RowPlaces } from '../../src/table/block-places.ts';

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`FUZZ_SEED=${seed}`);
const WHOLE = 31;

/** Pages of so many rows each. */
function locationsOf(pageRows: readonly number[]): PageLocations {
  const firstRows = Uint32Array.from([0, ...pageRows]);
  for (let page = 1; page < firstRows.length; page++) firstRows[page]! += firstRows[page - 1]!;
  const starts = Float64Array.from(pageRows, (_, page) => 100 * page);
  return new PageLocations(starts, new Uint32Array(pageRows.length).fill(100), firstRows, undefined);
}

/** As a map by page and block would have it. */
class PlainPlaces {
  readonly shifts = new Map<string, number>();
  readonly locations = new Map<string, number>();
}

test('random pages, shifts and evictions against a plain map, by one column and by many at once', () => {
  const columns = 3;
  const pages = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
  const even = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 6 }));
  const layout = fc.oneof(
    pages,
    even.map(([rows, count]) => new Array<number>(count).fill(rows)),
  );
  const step = fc.record({
    column: fc.nat(columns - 1),
    page: fc.nat(5),
    shift: fc.integer({ min: 0, max: 6 }),
    drop: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(layout, { minLength: columns, maxLength: columns }),
      fc.array(step, { maxLength: 60 }),
      (rows, steps) => {
        const total = Math.min(...rows.map((of) => of.reduce((sum, count) => sum + count, 0)));
        const layouts = rows.map(locationsOf);
        const places = new BlockPlaces(columns);
        const plain = new PlainPlaces();
        let location = 0;
        for (const { column, page, shift, drop } of steps) {
          const locations = layouts[column]!;
          if (page >= locations.pages) continue;
          const pageRows = locations.rowEnd(page) - locations.firstRow(page);
          const kept = pageRows <= 2 ** shift ? WHOLE : shift;
          const name = `${column} ${page}`;
          const blocks = kept === WHOLE ? 1 : Math.ceil(pageRows / 2 ** kept);
          const known = plain.shifts.get(name);
          const isHeld = [...plain.locations].some(([at, value]) => at.startsWith(`${name} `) && value > 0);
          const first = places.open(column, locations, page, kept);
          assert.equal(
            first === 0,
            known !== undefined && known !== kept && isHeld,
            'refused while others are resident',
          );
          if (first === 0) continue;
          plain.shifts.set(name, kept);
          for (let block = 0; block < blocks; block++) {
            const value = drop ? 0 : ++location;
            places.put(first + block, value);
            plain.locations.set(`${name} ${block}`, value);
            assert.equal(places.ordinalOf(column, page, first + block), block);
          }
          assert.equal(places.shiftOf(column, page), kept);
        }
        const at = new RowPlaces();
        const { locations: found, rows: within } = at;
        for (let row = 0; row < total; row++) {
          const isComplete = places.locate(row, total, Int32Array.of(0, 1, 2), columns, at);
          let lacks = false;
          for (let column = 0; column < columns; column++) {
            const locations = layouts[column]!;
            const page = locations.pageOf(row);
            const rowInPage = row - locations.firstRow(page);
            const shift = plain.shifts.get(`${column} ${page}`) ?? WHOLE;
            const block = shift === WHOLE ? 0 : rowInPage >> shift;
            const expected = plain.locations.get(`${column} ${page} ${block}`) ?? 0;
            const slot = places.slotOf(column, page, rowInPage);
            assert.equal(slot === 0 ? 0 : places.locationAt(slot), expected);
            const isEven = locations.stride > 0;
            const wasOpened = [...plain.shifts.keys()].some((name) => name.startsWith(`${column} `));
            if (isEven ? expected === 0 : !wasOpened) lacks = true;
            if (!isEven || !wasOpened) continue;
            assert.equal(found[column], expected);
            if (expected > 0) assert.equal(within[column], shift === WHOLE ? rowInPage : rowInPage % 2 ** shift);
          }
          assert.equal(isComplete, !lacks);
        }
      },
    ),
    { numRuns: 300, seed },
  );
});
