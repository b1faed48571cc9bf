/** What the threads of a process took of the processors, from Linux's `/proc/PID/task`. */

import { readdirSync, readFileSync } from 'node:fs';

export interface ThreadTime {
  readonly name: string;
  readonly cpuUs: number;
  /** Ready to run, while others had the core. */
  readonly waitedUs: number;
  /** The core was given up, as there was nothing to do. */
  readonly voluntary: number;
  /** The core was taken. */
  readonly involuntary: number;
}

/** By thread id; threads that ended are missing, and so is what they took. */
export function threadTimes(pid: number): ReadonlyMap<string, ThreadTime> {
  const times = new Map<string, ThreadTime>();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const read = (file: string) => readFileSync(`/proc/${pid}/task/${task}/${file}`, 'utf8');
    try {
      const [cpuNs = 0, waitedNs = 0] = read('schedstat').split(' ').map(Number);
      const switches = (kind: string) => Number(new RegExp(`^${kind}_ctxt_switches:\\s*(\\d+)`, 'm').exec(status)?.[1]);
      const status = read('status');
      times.set(task, {
        name: read('comm').trim(),
        cpuUs: cpuNs / 1000,
        waitedUs: waitedNs / 1000,
        voluntary: switches('voluntary'),
        involuntary: switches('nonvoluntary'),
      });
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT' && (thrown as NodeJS.ErrnoException).code !== 'ESRCH')
        throw thrown;
    }
  }
  return times;
}

/** Of all threads together, and of each. */
export function timesBetween(
  before: ReadonlyMap<string, ThreadTime>,
  after: ReadonlyMap<string, ThreadTime>,
): readonly ThreadTime[] {
  return [...after].map(([task, now]) => {
    const then = before.get(task);
    return {
      name: now.name,
      cpuUs: now.cpuUs - (then?.cpuUs ?? 0),
      waitedUs: now.waitedUs - (then?.waitedUs ?? 0),
      voluntary: now.voluntary - (then?.voluntary ?? 0),
      involuntary: now.involuntary - (then?.involuntary ?? 0),
    };
  });
}

/** The memory of the process that is resident now. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}
