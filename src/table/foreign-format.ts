/**
 * Folders that belong to a table format with deletes of its own.
 *
 * Reading the Parquet files of an Iceberg, Delta or Hudi table plainly would bring back rows that the table has
 * deleted, so such a source is refused unless the operator says `format: parquet`.
 */

import { ServiceError } from '../core/index.ts';
import type { FileIndex } from '../parquet/index.ts';

export type ForeignFormat = 'Delta Lake' | 'Apache Hudi' | 'Apache Iceberg';

/** The table format that an object of this key gives away, going by its path alone. */
export function foreignFormatOfKey(key: string): ForeignFormat | undefined {
  if (/(^|\/)_delta_log\//.test(key)) return 'Delta Lake';
  if (/(^|\/)\.hoodie\//.test(key)) return 'Apache Hudi';
  if (/(^|\/)metadata\/[^/]*\.metadata\.json$/.test(key)) return 'Apache Iceberg';
  return undefined;
}

/** The table format that a file's own footer gives away. */
export function foreignFormatOfFooter(index: FileIndex): ForeignFormat | undefined {
  return index.keyValueMetadata('iceberg.schema') === undefined ? undefined : 'Apache Iceberg';
}

export function foreignFormatError(format: ForeignFormat, source: string): ServiceError {
  return new ServiceError(
    'unavailable',
    'table_format_unsupported',
    `${source} belongs to a table of ${format}, whose deleted rows a plain read would return; say \`format: parquet\` for this table to read its files all the same`,
    { format, source },
  );
}

/** Where markers of a table format would lie for a source in `folder`: in it and, when `above`, in each parent. */
export function markerPrefixes(folder: string, above: boolean): readonly string[] {
  const parts = folder.split('/').slice(0, -1);
  const folders = parts.map((_, depth) => `${parts.slice(0, depth + 1).join('/')}/`);
  if (!folder.startsWith('/')) folders.unshift('');
  const looked = above ? folders : folders.slice(-1);
  return looked.flatMap((parent) => [`${parent}_delta_log/`, `${parent}.hoodie/`, `${parent}metadata/`]);
}
