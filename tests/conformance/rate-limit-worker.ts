/** A process of its own that takes calls from a window when it is told to: reads lines `key limit windowMs calls`, answers how many were admitted. */
import { createInterface } from 'node:readline';
import { redisRateLimiter } from '@novax/adapters/rate-limit';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import pino from 'pino';

if (import.meta.main) {
  const url = process.argv[2] ?? '';
  const redis = await connectRedis({ url, log: pino({ level: 'silent' }), name: 'test', mode: 'fail-fast' });
  const limiter = redisRateLimiter(redis);
  process.stdout.write('ready\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const [key = '', limit, windowMs, calls] = line.split(' ');
    const window = { key, limit: Number(limit), windowMs: Number(windowMs) };
    const taken = await Promise.all(Array.from({ length: Number(calls) }, () => limiter.take([window])));
    process.stdout.write(`${taken.filter(({ admitted }) => admitted).length}\n`);
  }
  await closeRedis(redis);
}
