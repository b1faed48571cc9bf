/**
 * Query parameters: few, known and strict, since a misspelt one that is ignored gives an answer that nobody asked for.
 */

import { ServiceError } from '../core/index.ts';
import { type JsonOptions, projectionNamed, type Snapshot } from '../table/index.ts';

export type ParameterName = 'columns' | 'projection' | 'int64' | 'nonfinite' | 'force';

export type Parameters = Readonly<Partial<Record<ParameterName, readonly string[]>>>;

export function parseQuery(query: string, known: readonly ParameterName[]): Parameters {
  const parameters: Partial<Record<ParameterName, string[]>> = {};
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeForm(equals < 0 ? pair : pair.slice(0, equals));
    const parameter = known.find((candidate) => candidate === name);
    if (parameter === undefined) throw unknownParameter(name, known);
    parameters[parameter] ??= [];
    parameters[parameter].push(equals < 0 ? '' : decodeForm(pair.slice(equals + 1)));
  }
  return parameters;
}

function unknownParameter(name: string, known: readonly ParameterName[]): ServiceError {
  const shown = name.slice(0, 100);
  const message = `there is no query parameter ${JSON.stringify(shown)} here; the known ones are ${known.join(', ')}`;
  return new ServiceError('invalid', 'unknown_parameter', message, { parameter: shown, known });
}

/** Query strings come from forms as well, where a space is a plus. */
function decodeForm(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    const message = `${JSON.stringify(text.slice(0, 100))} in the query is no percent-encoded UTF-8; write % itself as %25`;
    throw new ServiceError('invalid', 'bad_url', message);
  }
}

/** The table's own JSON options with what the request says instead. */
export function jsonOptions(parameters: Parameters, defaults: JsonOptions, valueBytesMax: number): JsonOptions {
  return {
    int64: choice(parameters, 'int64', ['number', 'string'], defaults.int64),
    nonfinite: choice(parameters, 'nonfinite', ['null', 'string'], defaults.nonfinite),
    valueBytesMax,
  };
}

/** The parameter's value, which is one of these. */
export function choice<T extends string>(
  parameters: Parameters,
  name: ParameterName,
  allowed: readonly T[],
  otherwise: T,
): T {
  const values = parameters[name];
  if (values === undefined) return otherwise;
  const value = allowed.find((candidate) => candidate === values[0]);
  if (value !== undefined && values.length === 1) return value;
  const message = `the query parameter ${name} is given once and is ${allowed.join(' or ')}`;
  throw new ServiceError('invalid', 'bad_parameter', message, { parameter: name, known: allowed });
}

/**
 * The columns asked for by their names or by that of a projection, else the table's default ones; undefined for all, which
 * `columns=*` asks for too, unless a column has that name.
 */
export function columnsAsked(parameters: Parameters, snapshot: Snapshot): readonly string[] | undefined {
  const names = columnNames(parameters, snapshot);
  const projections = parameters.projection;
  if (projections !== undefined) {
    const [projection = '', ...others] = projections;
    if (names === undefined && others.length === 0) return projectionNamed(snapshot.definition, projection).columns;
    const message = 'the query parameter projection is given once, and without columns';
    throw new ServiceError('invalid', 'bad_parameter', message, { parameter: 'projection' });
  }
  return columnsOrDefault(names, snapshot);
}

/** The same of columns that came by name or not at all. */
export function columnsOrDefault(
  names: readonly string[] | undefined,
  { definition, schema }: Snapshot,
): readonly string[] | undefined {
  if (names === undefined) return definition.defaultColumns;
  return names.length === 1 && names[0] === ALL_COLUMNS && !schema.byName.has(ALL_COLUMNS) ? undefined : names;
}

const ALL_COLUMNS = '*';

/**
 * The columns that are named, or undefined where none are. A single `columns=` is a list with commas. Where it is repeated, a value
 * that is a column's whole name is that column, so that names with commas can be asked for.
 */
function columnNames(parameters: Parameters, snapshot: Snapshot): readonly string[] | undefined {
  const values = parameters.columns;
  if (values === undefined) return undefined;
  const repeated = values.length > 1;
  return values
    .flatMap((value) => (repeated && snapshot.schema.byName.has(value) ? [value] : value.split(',')))
    .filter((name) => name !== '');
}
