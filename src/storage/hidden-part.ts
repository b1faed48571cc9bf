/**
 * What lies in a data folder and is no data: `_SUCCESS`, `_temporary/`, `_delta_log/`, `.hoodie/`, `.part-0.crc`.
 *
 * Spark, Hive and their kin name such things with a leading `_` or `.`, and reading an uncommitted `_temporary/` file as
 * data would serve rows that were never written. A partition folder of a column whose name begins with `_` counts.
 */

export function isHiddenPart(name: string, isFile: boolean): boolean {
  if (name.startsWith('.')) return true;
  return name.startsWith('_') && (isFile || !name.includes('='));
}

/** Whether any part of a path relative to its source is hidden. */
export function isHiddenPath(path: string): boolean {
  const parts = path.split('/');
  return parts.some((part, index) => isHiddenPart(part, index === parts.length - 1));
}
