/** The module of a thread: beside the one that starts it, in the form that that one has itself. */

export function workerModule(name: string, besideUrl: string): URL {
  return new URL(`./${name}${besideUrl.endsWith('.ts') ? '.ts' : '.js'}`, besideUrl);
}
