/** The API as a process of its own on a test's database, as a release would run it. */
import type { TestApi } from '../api.ts';
import { startProcess, type TestProcess } from './processes.ts';

export interface ApiProcess extends TestProcess {
  /** Without a trailing slash. */
  readonly url: string;
}

/** Starts it with the test API's settings and these; one that is undefined is left to its default. */
export async function apiProcess(api: TestApi, settings: Readonly<Record<string, unknown>> = {}): Promise<ApiProcess> {
  let url = '';
  const process = await startProcess({
    script: 'apps/api/src/main.ts',
    env: { ...api.env, ...settings },
    ready: /"url":"([^"]+)"/,
    onReady: (found) => (url = found),
  });
  return { ...process, url };
}
