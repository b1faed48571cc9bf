/**
 * Objects replaced, renamed and rewritten under load on a real S3 server: every answer is the old or the new version,
 * never a mix, never absent. Half a minute by `npm run test:s3`, minutes with `--long`, or as long as `POINTLAKE_FAULT_SECONDS` says.
 */

import { after, before, test } from 'node:test';
import { type S3Admin, s3Admin } from '../storage/s3-client.ts';
import { faultSeconds, runChanging } from '../support/changing-run.ts';
import { type Rgw, startRgw } from '../support/rgw.ts';

const seconds = faultSeconds(15);

let rgw: Rgw;
let admin: S3Admin;

before(async () => {
  rgw = await startRgw();
  admin = s3Admin(rgw);
});

after(async () => {
  admin?.client.destroy();
  await rgw?.stop();
});

for (const withDisk of [false, true]) {
  test(`objects of a real S3 server, ${withDisk ? 'with' : 'without'} a disk tier`, async (context) => {
    const bucket = `changing-${withDisk ? 'disk' : 'memory'}`;
    await admin.makeBucket(bucket);
    const place = (table: string) => {
      const writer = {
        put: (name: string, bytes: Buffer) => admin.put(bucket, `${table}/${name}`, bytes),
        remove: (name: string) => admin.remove(bucket, `${table}/${name}`),
      };
      return { source: `s3://${bucket}/${table}/`, writer };
    };
    const { endpoint, region, accessKeyId, secretAccessKey } = rgw;
    const s3 = { endpoint, region, credentials: { accessKeyId, secretAccessKey } };
    await runChanging(context, { seconds, withDisk, place, s3 });
  });
}
