/** The part of `inspect` about lookups as people read it. */

import { formatBytes } from '../core/index.ts';
import type { LookupReport } from './inspect-advice.ts';
import type { ColdReport, IndexInPlace, Spread } from './inspect-lookups.ts';

const plain = (value: number) => `${value}`;

export function lookupsText(report: LookupReport): readonly string[] {
  const { key, depth, cold, index, checksums, sampledKeys, rowsOfKey, metadataBytes, advice } = report;
  const by = report.name === undefined ? key.join(', ') : `${report.name} (${key.join(', ')})`;
  const lines = [`lookups by ${by}, of ${sampledKeys} sampled keys:`];
  if (depth === undefined) return [...lines, '  no row with a key could be read'];
  const isOwn = depth.sharedPages.mean < depth.pages.mean;
  if (rowsOfKey > 1 && !isOwn) lines.push(`  about ${rowsOfKey} rows have the key of a row`);
  lines.push(
    ...rows([
      ['a key may be in', 'mean', 'p50', 'p99', 'max'],
      ['files', ...cells(depth.files, plain)],
      ['row groups', ...cells(depth.rowGroups, plain)],
      ['key pages', ...cells(depth.pages, plain)],
      ['bytes of them', ...cells(depth.bytes, formatBytes)],
      ...(isOwn ? [['shared with other keys', ...cells(depth.sharedPages, plain)]] : []),
    ]),
    '',
    ...rows([['cold, from S3', 'mean', 'p50', 'p99', 'max'], ...coldRowsOf(cold)]),
    '',
    ...indexLines(index),
    `  page checksums: ${checksums.withCrc} of ${checksums.pages} pages; metadata takes ${formatBytes(metadataBytes)} in memory`,
    '',
    'advice:',
    ...(advice.length === 0 ? ['  none: these files look up well'] : []),
  );
  let problem = '';
  for (const one of advice) {
    if (one.problem !== problem) lines.push(`  ${one.problem}`);
    problem = one.problem;
    lines.push(`    ${one.advice}`, `      gain: ${one.gain}`);
  }
  return lines;
}

function indexLines({ mode, isBuilt, reason, bytes, here }: LookupReport['index']): readonly string[] {
  const would = isBuilt ? `build a key index of about ${formatBytes(bytes)}` : 'build no key index';
  const line = `  index: ${mode} would ${would}: ${reason}`;
  if (here === undefined)
    return [line, ...(isBuilt ? ['  --with-index builds it here, and shows what lookups then cost'] : [])];
  const covered = here.filesIndexed === here.files ? 'all files' : `${here.filesIndexed} of ${here.files} files`;
  const runs = here.runs === 1 ? 'one run' : `${here.runs} runs`;
  return [
    ...rows([['cold, with a key index', 'mean', 'p50', 'p99', 'max'], ...coldRowsOf(here)]),
    '',
    line,
    `  with the key index that was built here the index answers: ${here.keys} rows of ${covered} in ${runs}, ${formatBytes(here.bytes)}`,
    ...duplicatesLines(here),
  ];
}

function duplicatesLines({ duplicates, filesIndexed, files }: IndexInPlace): readonly string[] {
  if (duplicates === undefined) return [];
  const where = filesIndexed === files ? '' : ' of these files';
  if (duplicates === 0) return [`  no two rows${where} have the same key`];
  return [`  at most ${duplicates} rows${where} have a key that another row has already`];
}

function coldRowsOf(cold: Omit<LookupReport['cold'], 'lookups'>): readonly (readonly string[])[] {
  return [
    ...coldRows('all columns', cold.allColumns),
    ...('defaultColumns' in cold ? coldRows('default columns', cold.defaultColumns) : []),
    ...coldRows('key only', cold.keyOnly),
  ];
}

function coldRows(name: string, cold: ColdReport | undefined): readonly (readonly string[])[] {
  if (cold === undefined) return [[name, 'fails']];
  return [
    [`${name}: round trips`, ...cells(cold.roundTrips, plain)],
    [`${name}: GETs`, ...cells(cold.gets, plain)],
    [`${name}: bytes`, ...cells(cold.bytes, formatBytes)],
  ];
}

function cells({ mean, p50, p99, max }: Spread, form: (value: number) => string): readonly string[] {
  return [form(mean), form(p50), form(p99), form(max)];
}

function rows(all: readonly (readonly string[])[]): readonly string[] {
  const width = (column: number) => Math.max(...all.map((row) => row[column]?.length ?? 0));
  return all.map((row) => {
    const [first = '', ...others] = row;
    return `  ${first.padEnd(width(0))}${others.map((cell, i) => `  ${cell.padStart(width(i + 1))}`).join('')}`;
  });
}
