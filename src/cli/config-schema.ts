/** The whole configuration's fields, and what may stand in each. */

import { z } from 'zod';
import { TABLE_NAME_FORM } from '../table/index.ts';
import { byteSize, definedOnly, refuse } from './config-fields.ts';
import { tableSchema } from './config-tables.ts';
import { defaultCacheBytes, memoryLimitBytes } from './memory-limit.ts';

/** US dollars. */
const price = z.number().min(0).max(1000).optional();

const hedgeSchema = z
  .strictObject({
    percentile: z.number().min(0.5).max(0.999).optional(),
    maxExtra: z.number().min(0).max(1).optional(),
  })
  .transform(definedOnly);

/** Below this a slab of each size of block would not fit. */
const DISK_BYTES_MIN = 64 * 2 ** 20;

/** What a value on its own may have; a row cannot show more. */
const VALUE_BYTES_MAX = 32 * 2 ** 20;

/** Encoded rows are in one buffer, whose places are numbers of 32 bits. */
const ROWS_BYTES_MAX = 4 * 2 ** 30;

/** Event loops of one process. */
export const WORKERS_MAX = 64;

export const diskSchema = z.strictObject({
  path: z.string().min(1),
  size: byteSize.default(10 * 2 ** 30).refine((bytes) => bytes >= DISK_BYTES_MIN, { error: 'expected at least 64MiB' }),
});

export const configSchema = z.strictObject({
  server: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: z.int().min(0).max(65_535).default(8080),
      workers: z.int().min(1).max(WORKERS_MAX).default(1),
    })
    .prefault({}),
  storage: z
    .strictObject({
      s3: z
        .strictObject({
          endpoint: z.url({ protocol: /^https?$/ }).optional(),
          region: z.string().min(1).optional(),
          forcePathStyle: z.boolean().optional(),
          anonymous: z.boolean().optional(),
          requesterPays: z.boolean().optional(),
        })
        .prefault({}),
      hedge: z
        .union([z.literal(false), hedgeSchema], { error: 'expected false, or percentile and maxExtra' })
        .optional(),
      coalesce: z
        .strictObject({ maxGap: byteSize.optional(), maxMerged: byteSize.optional() })
        .transform(({ maxGap, maxMerged }) => definedOnly({ maxGapBytes: maxGap, maxMergedBytes: maxMerged }))
        .optional(),
      prices: z
        .strictObject({ get: price, list: price, transfer: price })
        .transform(({ get, list, transfer }) =>
          definedOnly({ getUsdPerThousand: get, listUsdPerThousand: list, transferUsdPerGb: transfer }),
        )
        .optional(),
    })
    .prefault({}),
  parquet: z.strictObject({ verifyCrc: z.boolean().default(true) }).prefault({}),
  cache: z
    .strictObject({ memory: byteSize.optional(), rows: byteSize.optional(), disk: diskSchema.optional() })
    .superRefine(({ memory = defaultCacheBytes(memoryLimitBytes()), rows = 0 }, context) => {
      const most = Math.min(ROWS_BYTES_MAX, Math.floor(memory / 2));
      if (rows > most) refuse(context, ['rows'], `expected at most ${most} bytes, half of cache.memory and 4GiB`);
    })
    .prefault({}),
  limits: z
    .strictObject({
      keys: z.int().min(1).max(100_000).default(1000),
      body: byteSize.default(2 ** 20),
      gets: z.int().min(1).max(1_000_000).default(64),
      bytes: byteSize.default(64 * 2 ** 20),
      valueInRow: byteSize.default(2 ** 20).refine((bytes) => bytes >= 1 && bytes <= VALUE_BYTES_MAX, {
        error: 'expected from 1 byte to 32MiB',
      }),
    })
    .prefault({}),
  tables: z
    .record(z.string().regex(TABLE_NAME_FORM, 'expected a table name of letters, digits, _ . -'), tableSchema)
    .default({}),
});

export type ParsedConfig = z.infer<typeof configSchema>;
