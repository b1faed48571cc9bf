/**
 * A real S3 server for tests: Ceph's RGW over one monitor and one OSD that keeps everything in memory.
 *
 * Several may run at once, each on free ports of loopback with its files in a temporary folder of its own. The daemons
 * die with the process that started them, also when that is killed: the kernel tells them (`setpriv --pdeathsig`).
 * Folders left by killed processes are removed by the next start.
 *
 * By itself, `node test/support/rgw.ts` prints the environment that clients need and stays until Ctrl-C.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The domain whose names are buckets: `lake.s3.test` is the bucket `lake`. Nobody resolves it but who wants to. */
export const BUCKET_DOMAIN = 's3.test';

export interface RgwUser {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Rgw {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Another user, who owns nothing. */
  addUser(): Promise<RgwUser>;
  stop(): Promise<void>;
}

const FOLDER_PREFIX = 'pointlake-rgw-';
const STEP_TIMEOUT_MS = 60_000;
const ATTEMPTS = 3;

/** Ports are chosen before the daemons bind them, so somebody may be faster; then all is begun anew. */
export async function startRgw(): Promise<Rgw> {
  await requirePrograms();
  await removeLeftovers();
  const failures: string[] = [];
  while (failures.length < ATTEMPTS) {
    const cluster = new Cluster(await mkdtemp(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`)));
    try {
      return await cluster.start();
    } catch (error) {
      failures.push(`${error}\n${await cluster.logTails()}`);
      await cluster.stop();
    }
  }
  throw new Error(`RGW did not start in ${ATTEMPTS} attempts: ${failures.join('\n')}`);
}

class Cluster {
  readonly #folder: string;
  readonly #config: string;
  readonly #daemons = new Map<string, ChildProcess>();

  constructor(folder: string) {
    this.#folder = folder;
    this.#config = join(folder, 'ceph.conf');
  }

  async start(): Promise<Rgw> {
    const fsid = randomUUID();
    const [monitorPort, gatewayPort] = await freePorts(2);
    await writeFile(this.#config, cephConf(this.#folder, fsid, monitorPort as number));
    await this.#startMonitor(fsid, monitorPort as number);
    await this.#startOsd();
    const credentials = await this.#createUser('tester');
    const endpoint = `http://127.0.0.1:${gatewayPort}`;
    await this.#startGateway(endpoint);
    return { endpoint, region: 'us-east-1', ...credentials, ...this.#controls() };
  }

  #controls(): Pick<Rgw, 'addUser' | 'stop'> {
    let others = 0;
    return {
      addUser: () => {
        others += 1;
        return this.#createUser(`other-${others}`);
      },
      stop: () => this.stop(),
    };
  }

  /** What is in memory is not worth a slow farewell. */
  async stop(): Promise<void> {
    const ended = [...this.#daemons.values()].map((daemon) => {
      if (daemon.exitCode !== null || daemon.signalCode !== null) return undefined;
      daemon.ref();
      const exit = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGKILL');
      return exit;
    });
    await Promise.all(ended);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async logTails(): Promise<string> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.log'));
    const tails = names.map(async (name) => {
      const lines = (await readFile(join(this.#folder, name), 'utf8')).trimEnd().split('\n');
      return [`--- ${name}`, ...lines.slice(-20)].join('\n');
    });
    return (await Promise.all(tails)).join('\n');
  }

  async #startMonitor(fsid: string, port: number): Promise<void> {
    const map = join(this.#folder, 'monmap');
    const data = join(this.#folder, 'mon');
    await run('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[v1:127.0.0.1:${port}/0]`, map]);
    await run('ceph-mon', ['-c', this.#config, '--mkfs', '-i', 'a', '--monmap', map, '--mon-data', data]);
    this.#spawn('mon', 'ceph-mon', ['-i', 'a', '--mon-data', data]);
    await this.#until('the monitor has a quorum', 'mon', async () =>
      (await this.#ceph('mon', 'stat')).includes('quorum'),
    );
  }

  async #startOsd(): Promise<void> {
    const data = join(this.#folder, 'osd');
    const uuid = randomUUID();
    await mkdir(data);
    // A client of a newborn monitor may ask before it has the map of monitors, and is refused; the same number comes
    // back however often it is asked for.
    await this.#until('the OSD has a number', 'mon', async () => (await this.#ceph('osd', 'new', uuid)).trim() === '0');
    const options = ['-i', '0', '--osd-data', data, '--osd-uuid', uuid];
    await run('ceph-osd', ['-c', this.#config, ...options, '--mkfs']);
    this.#spawn('osd', 'ceph-osd', options);
    await this.#until('the OSD is up', 'osd', async () => /1 up/.test(await this.#ceph('osd', 'stat')));
  }

  async #createUser(name: string): Promise<RgwUser> {
    const accessKeyId = randomBytes(10).toString('hex').toUpperCase();
    const secretAccessKey = randomBytes(20).toString('hex');
    const keys = ['--access-key', accessKeyId, '--secret', secretAccessKey];
    const user = ['user', 'create', '--uid', name, '--display-name', name, ...keys];
    await run('radosgw-admin', ['-c', this.#config, '--no-mon-config', ...user], { timeout: STEP_TIMEOUT_MS });
    return { accessKeyId, secretAccessKey };
  }

  async #startGateway(endpoint: string): Promise<void> {
    const frontend = `beast endpoint=${new URL(endpoint).host} tcp_nodelay=1`;
    // Under a name of its own and without authentication the gateway never connects to the monitor.
    this.#spawn('rgw', 'radosgw', ['-n', 'client.admin', '--no-mon-config', '--rgw-frontends', frontend]);
    await this.#until('the gateway answers', 'rgw', async () => (await fetch(endpoint)).ok);
  }

  #spawn(name: string, program: string, args: readonly string[]): void {
    const command = ['--pdeathsig', 'KILL', '--', program, '-c', this.#config, '-f', ...args];
    const daemon = spawn('setpriv', command, { stdio: 'ignore' });
    daemon.unref();
    this.#daemons.set(name, daemon);
  }

  async #ceph(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('ceph', ['-c', this.#config, '--connect-timeout', '10', ...args]);
    return stdout;
  }

  async #until(what: string, name: string, check: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + STEP_TIMEOUT_MS;
    let last: unknown;
    while (Date.now() < deadline) {
      const daemon = this.#daemons.get(name);
      if (daemon?.exitCode != null || daemon?.signalCode != null) throw new Error(`${name} ended before ${what}`);
      try {
        if (await check()) return;
      } catch (error) {
        last = error;
      }
      await sleep(100);
    }
    throw new Error(`gave up after ${STEP_TIMEOUT_MS} ms waiting until ${what}: ${last}`);
  }
}

function cephConf(folder: string, fsid: string, monitorPort: number): string {
  return `[global]
fsid = ${fsid}
mon host = [v1:127.0.0.1:${monitorPort}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
keyring = /dev/null
run dir = ${folder}
log file = ${folder}/$name.log
admin socket = ${folder}/$name.asok
crash dir = ${folder}
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
rgw enable quota threads = false
rgw run sync thread = false
rgw enable usage log = false
rgw dns name = ${BUCKET_DOMAIN}
`;
}

async function requirePrograms(): Promise<void> {
  for (const program of ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'setpriv']) {
    await run('sh', ['-c', `command -v ${program}`]).catch(() => {
      throw new Error(
        `${program} is not installed, and these tests need a real S3 server: run test/support/install-rgw.sh`,
      );
    });
  }
}

async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(FOLDER_PREFIX) ? Number(name.slice(FOLDER_PREFIX.length).split('-')[0]) : Number.NaN;
    if (Number.isInteger(pid) && !isAlive(pid)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Held together until all are known, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))));
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

if (import.meta.main) {
  const rgw = await startRgw();
  console.log(`export AWS_ENDPOINT_URL=${rgw.endpoint}`);
  console.log(`export AWS_REGION=${rgw.region}`);
  console.log(`export AWS_ACCESS_KEY_ID=${rgw.accessKeyId}`);
  console.log(`export AWS_SECRET_ACCESS_KEY=${rgw.secretAccessKey}`);
  console.error('RGW is ready; Ctrl-C ends it');
  // Only the daemons were keeping nothing alive: wait for a signal.
  const stay = setInterval(() => undefined, 1 << 30);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      clearInterval(stay);
      void rgw.stop();
    });
  }
}
