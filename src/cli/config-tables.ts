/** The tables of the configuration: their fields, what must hold between them, and the definitions that they make. */

import { z } from 'zod';
import {
  type ColumnDeclaration,
  type Duplicates,
  MAX_SHRINK_DEFAULT,
  type PartitionChoice,
  type PreloadRequest,
  parsePreload,
  SETTLE_MS_DEFAULT,
  type TableDefinition,
} from '../table/index.ts';
import { byteSize, columnType, duration, refuse, share } from './config-fields.ts';

/** A listing costs money and may take seconds by itself. */
const REFRESH_MS_MIN = 100;

export const columnSchema = z.strictObject({
  type: columnType.optional(),
  from: z.array(z.string().min(1)).max(100).default([]),
});

/** One column, or several that are one key together. */
const keyColumns = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(16)], {
    error: 'expected a column, or a list of up to 16',
  })
  .transform((columns) => (typeof columns === 'string' ? [columns] : columns));

const indexMode = z.enum(['auto', 'none', 'hash']).default('auto');

export const keyFields = z.strictObject({ columns: keyColumns, index: indexMode });

const namedKey = z.union([keyColumns.transform((columns) => ({ columns, index: 'auto' as const })), keyFields], {
  error: 'expected a column, a list of up to 16, or { columns: [...], index: auto | none | hash }',
});

/** It stands in URLs as it is. */
const NAME_FORM = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const keyName = z.string().regex(NAME_FORM, 'expected a name of letters, digits, _ . -');

const columnNames = z.array(z.string().min(1)).min(1).max(10_000);

/** In less there is no room for the dictionaries that files usually have. */
const QUOTA_BYTES_MIN = 2 ** 20;

export const quotaSchema = z.strictObject({
  memory: byteSize.refine((bytes) => bytes >= QUOTA_BYTES_MIN, { error: 'expected at least 1MiB' }),
});

export const tableFields = z.strictObject({
  source: z.string().min(1),
  key: keyColumns,
  keys: z.record(keyName, namedKey).default({}),
  duplicates: z.enum(['first', 'latest', 'error']).default('first'),
  latest_by: keyColumns.optional(),
  projections: z.record(keyName, columnNames).default({}),
  default_columns: columnNames.optional(),
  unique: z.boolean().default(false),
  allow_empty: z.boolean().default(false),
  required: z.boolean().default(true),
  format: z.literal('parquet').optional(),
  immutable: z.boolean().default(false),
  index: indexMode,
  preload: z.unknown().transform(preloadOf).optional(),
  quota: quotaSchema.optional(),
  refresh: duration.refine((ms) => ms >= REFRESH_MS_MIN, { error: 'expected at least 100ms' }).optional(),
  max_shrink: share.default(MAX_SHRINK_DEFAULT),
  settle: duration.default(SETTLE_MS_DEFAULT),
  schema: z.record(z.string().min(1), columnSchema).superRefine(refuseSharedNames).default({}),
  partitions: z.record(z.string().min(1), columnType).default({}),
  only: z
    .record(z.string().min(1), z.union([z.string().min(1), z.number(), z.boolean()]).transform(String))
    .default({}),
  require_success: z.boolean().default(false),
  json: z
    .strictObject({
      int64: z.enum(['number', 'string']).default('number'),
      nonfinite: z.enum(['null', 'string']).default('null'),
    })
    .prefault({}),
});

export const tableSchema = tableFields.superRefine((table, context) => {
  const isTwice = Object.keys(table.partitions).find((name) => table.schema[name] !== undefined);
  if (isTwice !== undefined)
    refuse(context, ['partitions', isTwice], `${isTwice} is in \`schema\` too; expected it in one of the two`);
  refuseLikeKeys(table, context);
  if (table.duplicates === 'latest' && table.latest_by === undefined) {
    refuse(context, ['duplicates'], 'expected `latest_by` beside it, which says by which columns');
  }
  if (table.duplicates !== 'latest' && table.latest_by !== undefined) {
    refuse(context, ['latest_by'], 'expected `duplicates: latest` beside it');
  }
  if (table.require_success && Object.keys(table.only).length === 0) {
    refuse(context, ['require_success'], 'expected `only` beside it, which says of which folders');
  }
});

/** Two keys of the same columns would be one index built twice. */
function refuseLikeKeys({ key, keys }: z.infer<typeof tableFields>, context: z.RefinementCtx): void {
  const known = new Map([[JSON.stringify(key), 'key']]);
  for (const [name, { columns }] of Object.entries(keys)) {
    const form = JSON.stringify(columns);
    const other = known.get(form);
    known.set(form, `keys.${name}`);
    if (other === undefined) continue;
    refuse(context, ['keys', name], `these are the columns of \`${other}\` already; expected others`);
  }
}

/** A name in a file stands for one column of the table, so that no two columns may claim it. */
function refuseSharedNames(columns: Readonly<Record<string, { from: string[] }>>, context: z.RefinementCtx): void {
  const claimedBy = new Map(Object.keys(columns).map((name) => [name, name]));
  for (const [name, { from }] of Object.entries(columns)) {
    for (const older of from) {
      const other = claimedBy.get(older);
      claimedBy.set(older, name);
      if (other === undefined) continue;
      const message = `${JSON.stringify(older)} already stands for column ${other}; expected the older names of this column only`;
      context.addIssue({ code: 'custom', path: [name, 'from'], message });
    }
  }
}

export function definitionOf(name: string, table: z.infer<typeof tableSchema>): TableDefinition {
  return {
    name,
    source: table.source,
    key: table.key,
    keys: Object.entries(table.keys).map(([key, { columns, index }]) => ({ name: key, columns, index })),
    duplicates: duplicatesOf(table),
    projections: Object.entries(table.projections).map(([projection, columns]) => ({ name: projection, columns })),
    defaultColumns: table.default_columns,
    schema: declarationsOf(table.schema),
    partitions: Object.entries(table.partitions).map(([column, type]) => ({ name: column, type })),
    only: Object.entries(table.only).map(([column, text]) => choiceOf(column, text)),
    requireSuccess: table.require_success,
    unique: table.unique,
    allowEmpty: table.allow_empty,
    required: table.required,
    plainParquet: table.format === 'parquet',
    immutable: table.immutable,
    json: table.json,
    preload: table.preload,
    memoryQuotaBytes: table.quota?.memory,
    refreshMs: table.refresh,
    index: table.index,
    maxShrink: table.max_shrink,
    settleMs: table.settle,
  };
}

function duplicatesOf({ duplicates, latest_by: by = [] }: z.infer<typeof tableSchema>): Duplicates {
  return duplicates === 'latest' ? { kind: 'latest', by } : { kind: duplicates };
}

function choiceOf(name: string, text: string): PartitionChoice {
  return text === 'latest' ? { kind: 'latest', name } : { kind: 'value', name, text };
}

function declarationsOf(columns: z.infer<typeof tableSchema>['schema']): readonly ColumnDeclaration[] {
  return Object.entries(columns).map(([name, { type, from }]) => ({ name, type, from }));
}

function preloadOf(given: unknown, context: z.RefinementCtx): PreloadRequest {
  try {
    return parsePreload(given);
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: (thrown as Error).message });
    return z.NEVER;
  }
}
