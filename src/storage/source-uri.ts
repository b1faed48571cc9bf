/**
 * Where a table's files are, as users write it: a path, a glob, `file://`, `s3://bucket/prefix/`, `https://`.
 *
 * Parsing touches no storage, so a URI without a `/` at its end is an object until `resolveSource` has looked. In `s3://`
 * everything after the bucket is the key as it is, nothing is percent-decoded, as in the AWS tools; `file://` is a real
 * URL and is decoded.
 */

import { resolve } from 'node:path';
import { ServiceError } from '../core/index.ts';
import { type Glob, hasWildcard, parseGlob } from './glob.ts';

interface Place {
  /** As the user wrote it. */
  readonly uri: string;
  readonly scheme: 'file' | 's3' | 'http';
  /** Undefined for all but S3. */
  readonly bucket: string | undefined;
}

/** One object, by its key. */
export interface ObjectSource extends Place {
  readonly kind: 'object';
  readonly key: string;
}

/** Everything below a folder; the prefix ends with `/`, or is empty for a whole bucket. */
export interface PrefixSource extends Place {
  readonly kind: 'prefix';
  readonly prefix: string;
}

/** What matches a pattern over whole keys. */
export interface GlobSource extends Place {
  readonly kind: 'glob';
  /** The start of the pattern that has no wildcard and ends with `/`, or is empty. */
  readonly prefix: string;
  readonly glob: Glob;
}

export type Source = ObjectSource | PrefixSource | GlobSource;

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/;
const IDENTITY = (text: string) => text;

/** `workingDirectory` is what relative paths are relative to. */
export function parseSourceUri(uri: string, workingDirectory: string = process.cwd()): Source {
  const scheme = SCHEME.exec(uri)?.[1]?.toLowerCase();
  if (uri.trim() === '' || uri.includes('\0')) throw invalid(uri, 'it is empty or has a NUL character in it');
  switch (scheme) {
    case undefined:
      return place({ uri, scheme: 'file', bucket: undefined }, absolute(uri, workingDirectory), IDENTITY);
    case 'file':
      return place({ uri, scheme: 'file', bucket: undefined }, filePath(uri), (text) => percentDecoded(text, uri));
    case 's3':
      return s3Source(uri);
    case 'https':
    case 'http':
      return httpSource(uri);
    default:
      throw unsupportedScheme(uri, scheme);
  }
}

/**
 * A name for a table, from the file or folder: `flights-3m.parquet` gives `flights-3m`, `s3://lake/users/*.parquet`
 * gives `users`. Valid in URLs: letters, digits, `_`, `-` and inner dots.
 */
export function tableNameOf(source: Source): string {
  const path = source.kind === 'object' ? source.key : source.prefix;
  const name = (source.scheme === 'http' ? new URL(path).pathname : path)
    .split('/')
    .filter((part) => part !== '')
    .at(-1);
  return urlName(name) || urlName(source.bucket) || 'table';
}

function urlName(name: string | undefined): string {
  return (name ?? '')
    .replace(/\.(parquet|parq|pq)$/i, '')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '');
}

function s3Source(uri: string): Source {
  const [, bucket, key = ''] = /^s3:\/\/([^/]*)(?:\/([\s\S]*))?$/i.exec(uri) ?? [];
  if (bucket === undefined || !BUCKET.test(bucket)) {
    throw invalid(
      uri,
      `${JSON.stringify(bucket ?? '')} is no bucket name; write s3://bucket/prefix/ or s3://bucket/key`,
    );
  }
  return place({ uri, scheme: 's3', bucket }, key, IDENTITY);
}

/** One file: a web server has no listing. Its key is the URL as servers get it, without a fragment. */
function httpSource(uri: string): Source {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined) throw invalid(uri, 'it is no URL; write https://host/path/file.parquet');
  if (url.username !== '' || url.password !== '')
    throw invalid(uri, 'user and password in a URL are not sent; sign it');
  url.hash = '';
  if (url.pathname.endsWith('/') || /[*[{]/.test(decodeURI(url.pathname.replaceAll('%', '%25')))) {
    throw invalid(uri, 'a web server has no listing, so a URL names one file; write * in a name as %2A');
  }
  return { uri, scheme: 'http', bucket: undefined, kind: 'object', key: url.href };
}

function place(where: Place, path: string, decodeText: (text: string) => string): Source {
  if (hasWildcard(path)) {
    const glob = parseGlob(path, decodeText);
    return { ...where, kind: 'glob', prefix: glob.prefix, glob };
  }
  const key = decodeText(path);
  return key === '' || key.endsWith('/')
    ? { ...where, kind: 'prefix', prefix: key }
    : { ...where, kind: 'object', key };
}

/** `resolve` drops the last slash, which says that a folder is meant. `a/..`, `.` and the like are folders too. */
function absolute(path: string, workingDirectory: string): string {
  const isFolder = /(^|\/)\.{0,2}$/.test(path);
  const resolved = resolve(workingDirectory, path);
  return isFolder && resolved !== '/' ? `${resolved}/` : resolved;
}

function filePath(uri: string): string {
  const [, host, path] = /^file:\/\/([^/]*)(\/[\s\S]*)$/i.exec(uri) ?? [];
  if (path === undefined || (host !== '' && host?.toLowerCase() !== 'localhost')) {
    throw invalid(uri, 'a file URL names no host; write file:///absolute/path or the path itself');
  }
  return absolute(path, '/');
}

function percentDecoded(text: string, uri: string): string {
  try {
    const decoded = decodeURIComponent(text);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // Said below.
  }
  throw invalid(uri, 'its percent-escapes are broken; write a % itself as %25');
}

function invalid(uri: string, why: string): ServiceError {
  return new ServiceError('invalid', 'invalid_source', `the source ${JSON.stringify(uri)} cannot be used: ${why}`, {
    uri,
  });
}

function unsupportedScheme(uri: string, scheme: string): ServiceError {
  const hints: Readonly<Record<string, string>> = { s3a: 'write s3://', s3n: 'write s3://' };
  const hint = hints[scheme] ?? 'use a path, file://, s3:// or https://';
  const message = `the source ${JSON.stringify(uri)} cannot be read: ${scheme}:// is not in this version; ${hint}`;
  return new ServiceError('unsupported', 'unsupported_scheme', message, { uri, scheme });
}
