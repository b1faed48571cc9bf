/**
 * The folders `name=value` of a path, as Hive, Spark and DuckDB write them.
 *
 * Names and values are percent-decoded; an escape that is none stands for itself. A folder with two `=` is none of them
 * (whoever writes one into a value escapes it), and of two folders of one name the outer one counts.
 */

export interface PartitionFolder {
  readonly name: string;
  /** Undefined for null. */
  readonly text: string | undefined;
  /** The path to it, from where the partitions begin, with its slash. */
  readonly path: string;
}

/** What writers call the folder of null. */
const NULL_FOLDER = '__HIVE_DEFAULT_PARTITION__';

/** `path` is below the table's source and ends with a slash, or is empty. */
export function partitionFolders(path: string): readonly PartitionFolder[] {
  const folders: PartitionFolder[] = [];
  for (let start = 0; start < path.length; ) {
    const end = path.indexOf('/', start);
    const equals = path.indexOf('=', start);
    if (end < 0 || equals < 0) break;
    if (equals > start && equals < end && path.lastIndexOf('=', end) === equals) {
      const name = percentDecoded(path.slice(start, equals));
      const text = path.slice(equals + 1, end);
      const isFirst = folders.every((folder) => folder.name !== name);
      const decoded = text === NULL_FOLDER ? undefined : percentDecoded(text);
      if (isFirst) folders.push({ name, text: decoded, path: path.slice(0, end + 1) });
    }
    start = end + 1;
  }
  return folders;
}

/** Bytes that are no UTF-8 stay escaped, so that two values never become one. */
function percentDecoded(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes);
    } catch {
      return escapes;
    }
  });
}
