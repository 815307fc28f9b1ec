/** What the doctor mends when asked to: streams and consumers, whose definitions stand in the code. */
import { repairBus } from '@novax/adapters/bus-brief';
import { createLogger } from '@novax/runtime/log';
import { busAddress } from '../database/bus-address.ts';
import { reasonOf } from '../database/connect.ts';
import type { Settings } from '../database/settings.ts';
import { type Finding, fail } from './check.ts';

/** Mends, and answers only what could not be mended; the checks afterwards show the rest. */
export async function repairs({ values }: Settings): Promise<Finding[]> {
  const { NATS_URL: url } = values;
  if (url === undefined) return [];
  try {
    await repairBus(await busAddress(url, values), createLogger({ name: 'novax-doctor', level: 'silent' }));
    return [];
  } catch (thrown) {
    return [fail('repair', reasonOf(thrown), 'remove what cannot be changed, then: novax doctor --repair')];
  }
}
