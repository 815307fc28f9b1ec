/** The operator's page over the job queues: bull-board, read-only, for whoever holds the token. */
import type { RequestListener } from 'node:http';
import { queueNames } from '@novax/contracts/jobs';
import type { Logger } from '@novax/runtime/log';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue } from 'bullmq';
import express from 'express';
import { holdsToken } from './operator-token.ts';
import { defaultPrefix } from './queues.ts';
import { closeRedis, connectRedis } from './redis.ts';
import { throttled } from './throttled.ts';

/** Where the page stands on its server. */
export const boardPath = '/queues';

export interface QueueBoard {
  /** Answers requests below `boardPath`; 401 without the token. */
  readonly handle: RequestListener;
  close(): Promise<void>;
}

/** Connects the page. It shows jobs with their payloads, which name organizations and documents by id only, and changes nothing. Throws DEPENDENCY_UNAVAILABLE. */
export async function connectQueueBoard(options: {
  readonly url: string;
  readonly prefix?: string | undefined;
  readonly token: string;
  readonly log: Logger;
}): Promise<QueueBoard> {
  const { log, token } = options;
  const redis = await connectRedis({ url: options.url, log, name: 'novax-queue-board', mode: 'fail-fast' });
  const warn = throttled(1000, (err: Error) => log.warn({ err }, 'queue board trouble'));
  const queues = queueNames.map((name) => {
    const queue = new Queue(name, { connection: redis, prefix: options.prefix ?? defaultPrefix });
    queue.on('error', warn);
    return queue;
  });
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(boardPath);
  createBullBoard({
    queues: queues.map((queue) => new BullMQAdapter(queue, { readOnlyMode: true })),
    serverAdapter,
    options: { uiConfig: { boardTitle: 'NovaX queues' } },
  });
  const app = express();
  app.disable('x-powered-by');
  app.use((request, response, next) => {
    if (holdsToken(request.headers.authorization, token)) return next();
    response.set('www-authenticate', 'Basic realm="NovaX operators"').status(401).end();
  });
  // bull-board's page asks a stranger's server for a typeface: operators' browsers need not tell it.
  app.use((_request, response, next) => {
    response.set(
      'content-security-policy',
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    );
    next();
  });
  // bull-board hides its buttons in read-only mode; this is what makes it so.
  app.use((request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD') return next();
    response.status(405).end();
  });
  app.use(boardPath, serverAdapter.getRouter());
  return {
    handle: app,
    async close() {
      await Promise.all(queues.map((queue) => queue.close().catch(warn)));
      await closeRedis(redis);
    },
  };
}
