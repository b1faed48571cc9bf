/** The rewrite room: a copy of a table's files that looks up well. */

export { openTarget } from './open-target.ts';
export type { RewriteCodec, RewriteEncoding } from './page-body.ts';
export { planRewrite, type RewritePlan, type RewriteProgress, type RewriteSummary, rewrite } from './rewrite.ts';
export type { RewriteTarget } from './target.ts';
