/** Load with known keys, and what came of it: `pointlake bench`. It knows HTTP, and of Pointlake its paths only. */

export { type Ceiling, httpCeiling, loopCeiling } from './ceiling.ts';
export type { Distribution, KeySpace } from './key-stream.ts';
export { type Done, type LoadTime, runLoad, type Sender } from './load.ts';
export { loadFromThreads } from './load-threads.ts';
export { type HttpTarget, type LoadPlan, monotonicClock } from './plan.ts';
export { seededRandom } from './random.ts';
export type { AnswerKind, LoadRecord, Tier } from './recorder.ts';
export { reportHtml } from './report.ts';
export { type About, type BenchResult, type Checked, type Outcome, outcomeOf } from './result.ts';
export { resultText } from './table.ts';
