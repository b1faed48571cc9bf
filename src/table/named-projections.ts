/** Columns that are asked for by one name, and those that are answered where none are asked for. */

import { ServiceError } from '../core/index.ts';
import type { NamedProjection, TableDefinition } from './definition.ts';
import type { Snapshot } from './snapshot.ts';

/** Throws `unknown_projection`, which lists the known ones. */
export function projectionNamed({ name: table, projections }: TableDefinition, name: string): NamedProjection {
  const projection = projections.find((candidate) => candidate.name === name);
  if (projection !== undefined) return projection;
  const known = projections.map((candidate) => candidate.name).slice(0, 50);
  const shown = JSON.stringify(name.slice(0, 100).toWellFormed());
  const advice =
    known.length === 0 ? 'it has none; ask for columns by their names' : `the known ones are ${known.join(', ')}`;
  const message = `table ${table} has no projection of the name ${shown}; ${advice}`;
  throw new ServiceError('invalid', 'unknown_projection', message, { projection: name.slice(0, 100), known });
}

export interface ProjectionState {
  readonly name: string;
  readonly columns: readonly string[];
  /** Those that no file has: whoever asks for the projection is told so. */
  readonly unknown: readonly string[];
}

/** The projections as this snapshot can answer them; of one without files nothing is known. */
export function projectionStates({ definition, schema, columns: all }: Snapshot): readonly ProjectionState[] {
  return definition.projections.map(({ name, columns }) => ({ name, columns, unknown: unknownIn(columns) }));

  function unknownIn(columns: readonly string[]): readonly string[] {
    return all.length === 0 ? [] : columns.filter((column) => !schema.byName.has(column));
  }
}
