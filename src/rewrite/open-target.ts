/** From a URI to the target that it names. */

import { ServiceError } from '../core/index.ts';
import { parseSourceUri, type S3Settings, type Source } from '../storage/index.ts';
import { LocalTarget } from './local-target.ts';
import { S3Target } from './s3-target.ts';
import type { RewriteTarget } from './target.ts';

/** Refuses what could not be written in the end. A target that ends in `.parquet` is one file, all else a folder. */
export async function openTarget(
  uri: string,
  sourceUri: string,
  force: boolean,
  s3: S3Settings = {},
): Promise<RewriteTarget> {
  const source = parseSourceUri(uri);
  if (source.kind === 'glob') throw invalid(`the target ${uri} is a pattern; name one file or folder`);
  if (source.scheme === 'http') throw invalid(`the target ${uri} is on a web server; write to a local path or s3://`);
  const isOneFile = source.kind === 'object' && source.key.endsWith('.parquet');
  const path = source.kind === 'object' ? source.key : source.prefix;
  refuseInside(parseSourceUri(sourceUri), source, path, uri);
  return source.bucket === undefined
    ? LocalTarget.open(path.replace(/\/+$/, ''), isOneFile, force)
    : S3Target.open(source.bucket, path, isOneFile, force, s3);
}

/** Where the next listing of the source would take the copy for more of it. */
function refuseInside(from: Source, to: Source, path: string, uri: string): void {
  if (from.kind === 'object' || from.scheme !== to.scheme || from.bucket !== to.bucket) return;
  const folder = path.endsWith('/') ? path : `${path}/`;
  if (folder === from.prefix || !folder.startsWith(from.prefix)) return;
  throw invalid(`the target ${uri} lies in the source, whose rows would then be there twice; write beside it`);
}

function invalid(message: string): ServiceError {
  return new ServiceError('invalid', 'invalid_target', message);
}
