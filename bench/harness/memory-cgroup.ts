/**
 * A memory cgroup of its own for a process under test, as a container has one: version 1 or 2, whichever manages memory
 * here, a group in a group, so that the limit is not in the process's own.
 */

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';

export interface CgroupSample {
  readonly [name: string]: number;
  /** All that is charged: memory, page cache and what the kernel keeps for the group. */
  readonly cgroupBytes: number;
  /** Without the page cache. */
  readonly cgroupAnonBytes: number;
  readonly cgroupFileBytes: number;
  /** How often the limit was met and pages were taken back; and how often that did not do. */
  readonly cgroupAtLimit: number;
  readonly cgroupOomKills: number;
}

export class MemoryCgroup {
  /** Limited. */
  readonly #outer: string;
  /** What the process is in. */
  readonly #inner: string;
  readonly #isV1: boolean;

  private constructor(outer: string, isV1: boolean) {
    this.#outer = outer;
    this.#inner = join(outer, 'server');
    this.#isV1 = isV1;
  }

  /** Throws, and says why, where no such group can be made. */
  static make(bytes: number): MemoryCgroup {
    const isV1 = existsSync(join(V1, 'memory.limit_in_bytes'));
    const top = isV1 ? V1 : V2;
    const group = new MemoryCgroup(join(top, `pointlake-soak-${process.pid}`), isV1);
    try {
      mkdirSync(group.#outer);
      if (isV1) writeFileSync(join(group.#outer, 'memory.use_hierarchy'), '1');
      else writeFileSync(join(group.#outer, 'cgroup.subtree_control'), '+memory');
      writeFileSync(join(group.#outer, isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(bytes));
      mkdirSync(group.#inner);
    } catch (thrown) {
      group.remove();
      throw new Error(
        `--cgroup needs a memory cgroup that it can make below ${top}, and that failed (${(thrown as Error).message}); ` +
          `run as root on Linux, where ${V1} is mounted or ${V2}/cgroup.subtree_control has memory; or leave --cgroup out`,
        { cause: thrown },
      );
    }
    return group;
  }

  /** A shell's words that enter the group before they become the program. */
  get enter(): string {
    return `echo $$ > ${join(this.#inner, 'cgroup.procs')} && exec "$0" "$@"`;
  }

  sample(): CgroupSample {
    const stat = this.#numbers('memory.stat');
    const named = (v1: string, v2: string) => stat.get(this.#isV1 ? `total_${v1}` : v2) ?? 0;
    const events = this.#isV1 ? this.#numbers('memory.oom_control') : this.#numbers('memory.events');
    return {
      cgroupBytes: Number(this.#text(this.#isV1 ? 'memory.usage_in_bytes' : 'memory.current')),
      cgroupAnonBytes: named('rss', 'anon'),
      cgroupFileBytes: named('cache', 'file'),
      cgroupAtLimit: this.#isV1 ? Number(this.#text('memory.failcnt')) : (events.get('max') ?? 0),
      cgroupOomKills: events.get('oom_kill') ?? 0,
    };
  }

  /** Once the process has ended. */
  remove(): void {
    for (const folder of [this.#inner, this.#outer]) if (existsSync(folder)) rmdirSync(folder);
  }

  #numbers(file: string): ReadonlyMap<string, number> {
    return new Map(
      this.#text(file)
        .split('\n')
        .map((line) => line.split(' '))
        .map(([name = '', value]) => [name, Number(value)]),
    );
  }

  #text(file: string): string {
    return readFileSync(join(this.#outer, file), 'utf8');
  }
}
