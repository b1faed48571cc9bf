/** The rewrite room: a copy of a table's files that looks up well. */

export type { RewriteCodec } from './chunk-writer.ts';
export { LocalTarget } from './local-target.ts';
export { type RewriteSummary, rewrite } from './rewrite.ts';
