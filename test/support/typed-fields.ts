/** Fields of every scalar type that DuckDB writes, with values that are easily mistaken: their forms here and in SQL. */

/** A field that can be asked: its name here, in SQL, its SQL type, and texts that are values of it. */
export interface Field {
  readonly name: string;
  readonly type: string;
  /** As they are asked for here. */
  readonly values: readonly string[];
  readonly isNumber?: boolean;
  /** Its type in files of the second kind, and the values that this has; the files lack it where there is none. */
  readonly narrow?: { readonly type: string; readonly values: readonly string[] } | 'none';
  readonly sql?: (text: string) => string;
}

const WORDS = ['', 'a', 'ab', 'abc', 'b', 'é', 'zebra', 'ｚ', '𝒳', '𝒳y', '\u{10ffff}', 'naïve'];
const FLOATS = ['NaN', '-0.0', '0', '0.5', '1.5', '0.1', 'Infinity', '-Infinity'];
const DAYS = ['2026-01-01', '2026-01-31', '2026-03-15', '1969-12-31'];
export const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
const blob = (text: string) => `from_base64(${quoted(text)})`;
export const FIELDS: readonly Field[] = [
  { name: 'id', type: 'BIGINT', values: ['0', '7', '499', '9007199254740993', '1200', '-1'], isNumber: true },
  { name: 'day', type: 'DATE', values: DAYS },
  { name: 'word', type: 'VARCHAR', values: WORDS },
  { name: 'ratio', type: 'DOUBLE', values: FLOATS },
  { name: 'single', type: 'FLOAT', values: FLOATS },
  { name: 'price', type: 'DECIMAL(20,2)', values: ['0.00', '-1.50', '3.25', '12345678901234567.89'] },
  { name: 'big', type: 'DECIMAL(38,3)', values: ['0.000', '-1.500', '99999999999999999999.125'], narrow: 'none' },
  { name: 'tiny', type: 'DECIMAL(4,1)', values: ['0.0', '-1.5', '999.9', '-999.9', '7.0'] },
  {
    name: 'money',
    type: 'DECIMAL(18,4)',
    values: ['0.0000', '-1.2500', '3.2500', '12345678901234.5678', '-0.0001'],
    narrow: { type: 'DECIMAL(9,4)', values: ['0.0000', '-1.2500', '3.2500'] },
  },
  { name: 'seen', type: 'TIMESTAMP', values: ['2026-01-01T00:00:00.000000', '2026-01-02T03:04:05.000006'] },
  { name: 'at_ms', type: 'TIMESTAMP_MS', values: ['2026-01-01T00:00:00.000', '1969-12-31T23:59:59.999'] },
  {
    name: 'at_ns',
    type: 'TIMESTAMP_NS',
    values: ['2026-01-01T00:00:00.000000001', '2026-01-01T00:00:00.000000002', '1969-12-31T23:59:59.999999999'],
  },
  { name: 'at_tz', type: 'TIMESTAMPTZ', values: ['2026-01-01T00:00:00.000000Z', '1969-12-31T23:59:59.999999Z'] },
  { name: 'clock', type: 'TIME', values: ['00:00:00.000000', '23:59:59.999999', '12:34:56.000001'] },
  {
    name: 'uuid',
    type: 'UUID',
    values: [
      '00000000-0000-0000-0000-000000000000',
      '123e4567-e89b-12d3-a456-426614174000',
      '7fffffff-ffff-ffff-ffff-ffffffffffff',
      '80000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-fffffffffffe',
    ],
  },
  { name: 'bytes', type: 'BLOB', values: ['', 'AA==', 'AAEC', '//8=', 'f/8=', 'gAA='], sql: blob },
  { name: 'flag', type: 'BOOLEAN', values: ['true', 'false'] },
  {
    name: 'small',
    type: 'BIGINT',
    values: ['0', '3', '-4', '300', '3000000000'],
    isNumber: true,
    narrow: { type: 'SMALLINT', values: ['0', '3', '-4', '300'] },
  },
  { name: 'u8', type: 'UTINYINT', values: ['0', '1', '127', '128', '255'], isNumber: true },
  { name: 'u32', type: 'UINTEGER', values: ['0', '1', '2147483647', '2147483648', '4294967295'], isNumber: true },
  {
    name: 'u64',
    type: 'UBIGINT',
    values: ['0', '1', '9223372036854775807', '9223372036854775808', '18446744073709551615'],
    isNumber: true,
  },
  { name: 's.n', type: 'INTEGER', values: ['0', '2', '5', '-3'], isNumber: true },
  { name: 's.t.w', type: 'VARCHAR', values: WORDS },
  { name: 's.t.price', type: 'DECIMAL(20,2)', values: ['0.00', '-1.50', '3.25', '12345678901234567.89'] },
  { name: 's.t.day', type: 'DATE', values: DAYS },
  { name: 's.t.ratio', type: 'DOUBLE', values: FLOATS },
  { name: 's.t.seen', type: 'TIMESTAMP', values: ['2026-01-01T00:00:00.000000', '2026-01-02T03:04:05.000006'] },
  { name: 'region', type: 'VARCHAR', values: ['eu', 'us', 'asia'] },
];

/** In SQL. */
export const literalOf = ({ sql, type }: Field, text: string) =>
  (sql ?? ((it) => `CAST(${quoted(it)} AS ${type})`))(text);
