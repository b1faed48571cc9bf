/**
 * `pointlake.yaml`: read, checked and turned into what the composition root takes.
 *
 * A mistake names its line and says what was expected. A key that belongs to a later version is refused as such and
 * never ignored: an operator who wrote `auth` must not run without it.
 */

import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { LineCounter, type Node, parse, parseDocument, visit } from 'yaml';
import { ServiceError } from '../core/index.ts';
import type { CoalesceOptions, HedgePolicy, StoragePrices } from '../storage/index.ts';
import type { TableDefinition } from '../table/index.ts';
import { explain, nodeAt } from './config-faults.ts';
import { configSchema, type ParsedConfig } from './config-schema.ts';
import { definitionOf } from './config-tables.ts';
import { defaultCacheBytes, memoryLimitBytes } from './memory-limit.ts';

export interface NodeConfig {
  /** `workers` are event loops that answer. */
  readonly server: { readonly host: string; readonly port: number; readonly workers: number };
  readonly s3: S3Config;
  readonly hedge: Partial<HedgePolicy> | false | undefined;
  readonly coalesce: Partial<CoalesceOptions> | undefined;
  readonly prices: Partial<StoragePrices> | undefined;
  readonly cacheMemoryBytes: number;
  /** Undefined: the share of it that encoded rows have by default. */
  readonly cacheRowsBytes: number | undefined;
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

/** Paths in a file are relative to that file. */
function toNodeConfig(parsed: ParsedConfig, folder: string): NodeConfig {
  return {
    server: parsed.server,
    s3: parsed.storage.s3,
    hedge: parsed.storage.hedge,
    coalesce: parsed.storage.coalesce,
    prices: parsed.storage.prices,
    cacheMemoryBytes: parsed.cache.memory ?? defaultCacheBytes(memoryLimitBytes()),
    cacheRowsBytes: parsed.cache.rows,
    disk: parsed.cache.disk && { path: inFolder(parsed.cache.disk.path, folder), sizeBytes: parsed.cache.disk.size },
    verifyCrc: parsed.parquet.verifyCrc,
    limits: parsed.limits,
    tables: Object.entries(parsed.tables).map(([name, table]) =>
      definitionOf(name, { ...table, source: fromFolder(table.source, folder) }),
    ),
  };
}

function inFolder(path: string, folder: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

function fromFolder(source: string, folder: string): string {
  return source.startsWith('/') || /^[a-z][a-z0-9+.-]*:\/\//i.test(source) ? source : join(folder, source);
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

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}

function invalid(message: string): ServiceError {
  return new ServiceError('invalid', 'bad_config', message);
}
