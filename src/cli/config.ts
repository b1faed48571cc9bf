/**
 * `pointlake.yaml`: read, checked and turned into what the composition root takes.
 *
 * A mistake names its line and says what was expected. A key that belongs to a later version is refused as such and
 * never ignored: an operator who wrote `auth` must not run without it.
 */

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { isMap, isScalar, LineCounter, type Node, parse, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import { parseByteSize, parseDuration, ServiceError } from '../core/index.ts';
import type { CoalesceOptions, HedgePolicy, StoragePrices } from '../storage/index.ts';
import {
  COLUMN_TYPE_NAMES,
  type ColumnDeclaration,
  type Duplicates,
  MAX_SHRINK_DEFAULT,
  type PartitionChoice,
  type PreloadRequest,
  parseColumnType,
  parsePreload,
  SETTLE_MS_DEFAULT,
  TABLE_NAME_FORM,
  type TableDefinition,
} from '../table/index.ts';

export interface NodeConfig {
  readonly server: { readonly host: string; readonly port: number };
  readonly s3: S3Config;
  readonly hedge: Partial<HedgePolicy> | false | undefined;
  readonly coalesce: Partial<CoalesceOptions> | undefined;
  readonly prices: Partial<StoragePrices> | undefined;
  readonly cacheMemoryBytes: number;
  readonly disk: { readonly path: string; readonly sizeBytes: number } | undefined;
  readonly verifyCrc: boolean;
  readonly limits: {
    readonly keys: number;
    readonly body: number;
    readonly valueInRow: number;
    readonly gets: number;
    readonly bytes: number;
  };
  readonly tables: readonly TableDefinition[];
}

export interface S3Config {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  readonly anonymous?: boolean | undefined;
  readonly requesterPays?: boolean | undefined;
}

/** Keys that API.md promises and this version does not have yet, by the path of their parent. */
const LATER: Readonly<Record<string, readonly string[]>> = {
  '': ['cluster'],
  server: ['auth', 'tls'],
};

const STORAGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  s3: ['endpoint', 'region', 'forcePathStyle', 'anonymous', 'requesterPays'],
  hedge: ['percentile', 'maxExtra'],
  coalesce: ['maxGap', 'maxMerged'],
  prices: ['get', 'list', 'transfer'],
};

const byteSize = z
  .union([z.string(), z.number()])
  .transform((text, context) => unit(() => parseByteSize(text), context));
const duration = z
  .union([z.string(), z.number()])
  .transform((text, context) => unit(() => parseDuration(text), context));

/** A listing costs money and may take seconds by itself. */
const REFRESH_MS_MIN = 100;
/** As `20%`. */
const share = z
  .string({ error: 'expected a share from 0% to 100%, such as 20%' })
  .regex(/^(100(\.0*)?|[0-9]{1,2}(\.[0-9]+)?)%$/, 'expected a share from 0% to 100%, such as 20%')
  .transform((text) => Number(text.slice(0, -1)) / 100);

/** US dollars. */
const price = z.number().min(0).max(1000).optional();
const hedgeSchema = z
  .strictObject({
    percentile: z.number().min(0.5).max(0.999).optional(),
    maxExtra: z.number().min(0).max(1).optional(),
  })
  .transform(definedOnly);

const columnType = z.string().transform((text, context) => {
  const type = parseColumnType(text);
  if (type !== undefined) return type;
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(text)} is no type; expected ${COLUMN_TYPE_NAMES}`,
  });
  return z.NEVER;
});

const columnSchema = z.strictObject({
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

const keyFields = z.strictObject({ columns: keyColumns, index: indexMode });

const namedKey = z.union([keyColumns.transform((columns) => ({ columns, index: 'auto' as const })), keyFields], {
  error: 'expected a column, a list of up to 16, or { columns: [...], index: auto | none | hash }',
});

/** It stands in URLs as it is. */
const NAME_FORM = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const keyName = z.string().regex(NAME_FORM, 'expected a name of letters, digits, _ . -');

const columnNames = z.array(z.string().min(1)).min(1).max(10_000);

/** In less there is no room for the dictionaries that files usually have. */
const QUOTA_BYTES_MIN = 2 ** 20;

const quotaSchema = z.strictObject({
  memory: byteSize.refine((bytes) => bytes >= QUOTA_BYTES_MIN, { error: 'expected at least 1MiB' }),
});

const tableFields = z.strictObject({
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

const tableSchema = tableFields.superRefine((table, context) => {
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

function refuse(context: z.RefinementCtx, path: string[], message: string): void {
  context.addIssue({ code: 'custom', path, message });
}

/** Below this a slab of each size of block would not fit. */
const DISK_BYTES_MIN = 64 * 2 ** 20;

/** What a value on its own may have; a row cannot show more. */
const VALUE_BYTES_MAX = 32 * 2 ** 20;

const diskSchema = z.strictObject({
  path: z.string().min(1),
  size: byteSize.default(10 * 2 ** 30).refine((bytes) => bytes >= DISK_BYTES_MIN, { error: 'expected at least 64MiB' }),
});

const configSchema = z.strictObject({
  server: z
    .strictObject({ host: z.string().min(1).default('127.0.0.1'), port: z.int().min(0).max(65_535).default(8080) })
    .prefault({}),
  storage: z
    .strictObject({
      s3: z
        .strictObject({
          endpoint: z.url({ protocol: /^https?$/ }).optional(),
          region: z.string().min(1).optional(),
          forcePathStyle: z.boolean().optional(),
          anonymous: z.boolean().optional(),
          requesterPays: z.boolean().optional(),
        })
        .prefault({}),
      hedge: z
        .union([z.literal(false), hedgeSchema], { error: 'expected false, or percentile and maxExtra' })
        .optional(),
      coalesce: z
        .strictObject({ maxGap: byteSize.optional(), maxMerged: byteSize.optional() })
        .transform(({ maxGap, maxMerged }) => definedOnly({ maxGapBytes: maxGap, maxMergedBytes: maxMerged }))
        .optional(),
      prices: z
        .strictObject({ get: price, list: price, transfer: price })
        .transform(({ get, list, transfer }) =>
          definedOnly({ getUsdPerThousand: get, listUsdPerThousand: list, transferUsdPerGb: transfer }),
        )
        .optional(),
    })
    .prefault({}),
  parquet: z.strictObject({ verifyCrc: z.boolean().default(true) }).prefault({}),
  cache: z.strictObject({ memory: byteSize.optional(), disk: diskSchema.optional() }).prefault({}),
  limits: z
    .strictObject({
      keys: z.int().min(1).max(100_000).default(1000),
      body: byteSize.default(2 ** 20),
      gets: z.int().min(1).max(1_000_000).default(64),
      bytes: byteSize.default(64 * 2 ** 20),
      valueInRow: byteSize.default(2 ** 20).refine((bytes) => bytes >= 1 && bytes <= VALUE_BYTES_MAX, {
        error: 'expected from 1 byte to 32MiB',
      }),
    })
    .prefault({}),
  tables: z
    .record(z.string().regex(TABLE_NAME_FORM, 'expected a table name of letters, digits, _ . -'), tableSchema)
    .default({}),
});

export function defaultConfig(): NodeConfig {
  return toNodeConfig(configSchema.parse({}), '');
}

export function readConfig(path: string, environment: NodeJS.ProcessEnv): NodeConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    throw invalid(`the configuration ${path} cannot be read: ${(thrown as Error).message}`);
  }
  return parseConfig(text, path, environment);
}

export function parseConfig(text: string, path: string, environment: NodeJS.ProcessEnv): NodeConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const lineOf = (node: Node | null | undefined) => lines.linePos(node?.range?.[0] ?? 0).line;
  const [fault] = document.errors;
  if (fault !== undefined) throw invalid(`${path}:${lines.linePos(fault.pos[0]).line}: ${firstLine(fault.message)}`);
  expandVariables(document.contents, environment, (node, message) => invalid(`${path}:${lineOf(node)}: ${message}`));
  const result = configSchema.safeParse(document.toJS() ?? {});
  if (result.success) return toNodeConfig(result.data, dirname(path));
  const [issue] = result.error.issues;
  const names = (issue?.path ?? []).map(String);
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const full = unknown === undefined ? names : [...names, unknown];
  const line = lineOf(nodeAt(document.contents, full));
  throw invalid(
    `${path}:${line}: ${full.join('.') || 'the document'}: ${explain(names, unknown, issue?.message ?? '')}`,
  );
}

type ParsedConfig = z.infer<typeof configSchema>;

/** Paths in a file are relative to that file. */
function toNodeConfig(parsed: ParsedConfig, folder: string): NodeConfig {
  return {
    server: parsed.server,
    s3: parsed.storage.s3,
    hedge: parsed.storage.hedge,
    coalesce: parsed.storage.coalesce,
    prices: parsed.storage.prices,
    cacheMemoryBytes: parsed.cache.memory ?? defaultMemoryBytes(),
    disk: parsed.cache.disk && { path: inFolder(parsed.cache.disk.path, folder), sizeBytes: parsed.cache.disk.size },
    verifyCrc: parsed.parquet.verifyCrc,
    limits: parsed.limits,
    tables: Object.entries(parsed.tables).map(([name, table]) =>
      definitionOf(name, { ...table, source: fromFolder(table.source, folder) }),
    ),
  };
}

function definitionOf(name: string, table: z.infer<typeof tableSchema>): TableDefinition {
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

function inFolder(path: string, folder: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

function fromFolder(source: string, folder: string): string {
  return source.startsWith('/') || /^[a-z][a-z0-9+.-]*:\/\//i.test(source) ? source : join(folder, source);
}

/** Half of what the container or the machine has: the page cache needs the rest. */
function defaultMemoryBytes(): number {
  const constrained = process.constrainedMemory();
  const total = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(total / 2);
}

function explain(parent: readonly string[], unknown: string | undefined, message: string): string {
  if (unknown === undefined) return message;
  const place = parent[0] === 'tables' && parent.length === 2 ? 'tables.*' : parent.join('.');
  if (LATER[place]?.includes(unknown)) return 'not in this version';
  return `unknown key; expected one of ${knownKeys(parent).join(', ')}`;
}

function knownKeys(parent: readonly string[]): readonly string[] {
  const [section] = parent;
  if (section === 'tables') {
    if (parent[2] === 'schema') return Object.keys(columnSchema.shape);
    if (parent[2] === 'keys') return Object.keys(keyFields.shape);
    if (parent[2] === 'quota') return Object.keys(quotaSchema.shape);
    return Object.keys(parent.length > 2 ? { int64: 0, nonfinite: 0 } : tableFields.shape);
  }
  if (section === 'cache' && parent[1] === 'disk') return Object.keys(diskSchema.shape);
  if (parent.length > 1) return STORAGE_KEYS[parent[1] ?? ''] ?? [];
  const sections: Readonly<Record<string, readonly string[]>> = {
    server: ['host', 'port'],
    storage: Object.keys(STORAGE_KEYS),
    parquet: ['verifyCrc'],
    cache: ['memory', 'disk'],
    limits: ['keys', 'body', 'valueInRow', 'gets', 'bytes'],
  };
  return (section === undefined ? undefined : sections[section]) ?? Object.keys(configSchema.shape);
}

/** `${NAME}` in any scalar; an unquoted one is then read again, so that `port: ${PORT}` is a number. */
function expandVariables(
  root: Node | null,
  environment: NodeJS.ProcessEnv,
  fault: (node: Node, message: string) => ServiceError,
): void {
  visit(root, {
    Scalar(_, node) {
      if (typeof node.value !== 'string' || !node.value.includes('${')) return;
      const expanded = node.value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_match, name: string) => {
        const value = environment[name];
        if (value === undefined) throw fault(node, `the environment variable ${name} is not set`);
        return value;
      });
      const again: unknown = node.type === 'PLAIN' ? parse(expanded) : expanded;
      node.value = typeof again === 'object' ? expanded : again;
    },
  });
}

/** The node of a key itself, so that the line is that of the name; else the nearest parent. */
function nodeAt(root: Node | null, path: readonly string[]): Node | null {
  let node: Node | null = root;
  let found: Node | null = root;
  for (const name of path) {
    if (!isMap(node)) break;
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === name);
    if (pair === undefined) break;
    found = pair.key as Node;
    node = pair.value as Node | null;
  }
  return found;
}

/** Without the keys that were not given, so that their defaults stand. */
function definedOnly<T extends object>(given: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

function preloadOf(given: unknown, context: z.RefinementCtx): PreloadRequest {
  try {
    return parsePreload(given);
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: (thrown as Error).message });
    return z.NEVER;
  }
}

function unit(read: () => number, context: z.RefinementCtx): number {
  try {
    return read();
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: (thrown as Error).message });
    return z.NEVER;
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}

function invalid(message: string): ServiceError {
  return new ServiceError('invalid', 'bad_config', message);
}
