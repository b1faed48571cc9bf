/** Sets up buckets and objects on a real S3 server, with the SDK and not with what is under test. */

import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Rgw } from '../support/rgw.ts';

export interface S3Admin {
  readonly client: S3Client;
  makeBucket(bucket: string, acl?: 'public-read'): Promise<void>;
  put(bucket: string, key: string, bytes: Uint8Array, acl?: 'public-read'): Promise<void>;
  remove(bucket: string, key: string): Promise<void>;
}

export function s3Admin({ endpoint, region, accessKeyId, secretAccessKey }: Rgw): S3Admin {
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  return {
    client,
    makeBucket: async (Bucket, ACL) => {
      await client.send(new CreateBucketCommand({ Bucket, ...(ACL && { ACL }) }));
    },
    put: async (Bucket, Key, Body, ACL) => {
      await client.send(new PutObjectCommand({ Bucket, Key, Body, ...(ACL && { ACL }) }));
    },
    remove: async (Bucket, Key) => {
      await client.send(new DeleteObjectCommand({ Bucket, Key }));
    },
  };
}
