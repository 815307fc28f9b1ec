/** Where the event bus is, and what this installation's settings say of it. */
import { readFile } from 'node:fs/promises';
import type { BusAddress } from '@novax/adapters/bus-brief';
import type { Settings } from './settings.ts';

/** The bus at `url` with what the settings say of it. Reads the file of credentials, when one is named, and throws what that throws. */
export async function busAddress(url: string, values: Settings['values']): Promise<BusAddress> {
  const file = values.NATS_CREDS_FILE;
  const timings = {
    duplicateWindowMs: values.EVENT_DEDUPE_WINDOW_MS,
    ackWaitMs: values.EVENT_ACK_WAIT_MS,
    maxAgeMs: values.EVENT_MAX_AGE_MS,
  };
  return {
    url,
    namespace: values.NATS_NAMESPACE,
    timings: Object.fromEntries(
      Object.entries(timings).flatMap(([name, text]) => (text === undefined ? [] : [[name, Number(text)]])),
    ),
    ...(file === undefined ? {} : { credentials: await readFile(file, 'utf8') }),
  };
}
