/** The whole local product: lock, servers, migrations, API, workers, and the state file that other commands read. */
import { mkdir } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { chooseDriver } from '../stack/choose.ts';
import { loadConfig, saveConfig } from '../stack/config.ts';
import { databaseTask } from '../stack/database.ts';
import type { StackContext, StackDriver, StackEndpoints } from '../stack/driver.ts';
import { portOf, redactUrl, saveEndpoints } from '../stack/endpoints.ts';
import { choosePorts } from '../stack/ports.ts';
import { applications, mailFolder } from './applications.ts';
import type { ApplicationPorts } from './applications.ts';
import { describeEvent } from './events.ts';
import type { SupervisorEvent } from './events.ts';
import { tryLock } from './lock.ts';
import { endOrphans } from './orphans.ts';
import { identify } from './pids.ts';
import type { Step } from './process-spec.ts';
import { runSupervisor } from './run.ts';
import { lockPath, logDir, readState, writeState } from './state.ts';
import type { StackState } from './state.ts';

/** Notes beyond these are in the supervisor's log. */
const MAX_NOTES = 50;

export interface RunningStack {
  endpoints: StackEndpoints;
  apiUrl: string;
  state(): StackState;
  /** Resolves when everything has stopped: undefined when that was asked for, else why. */
  readonly done: Promise<Error | undefined>;
  /** Stops everything in reverse order and releases the lock. Idempotent. */
  stop(): Promise<void>;
}

/** Thrown when a living supervisor holds the stack. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning';
  readonly pid: number;

  constructor(pid: number) {
    super(`the stack is running already (supervisor process ${pid})`);
    this.pid = pid;
  }
}

/**
 * Starts everything and resolves when it is ready; rejects, with everything stopped again, when it cannot be. Leftovers of a
 * killed predecessor (lock, processes, lock files) are mended first. The supervisor keeps running in the calling process
 * until `context.signal` is aborted, `stop()` is called, or a process is given up.
 */
export async function runStack(options: {
  context: StackContext;
  serversOnly: boolean;
  mode: StackState['mode'];
  onEvent?: (event: SupervisorEvent) => void;
}): Promise<RunningStack> {
  const { context, serversOnly } = options;
  const { dir } = context;
  await mkdir(logDir(dir), { recursive: true });
  const attempt = await tryLock(lockPath(dir));
  if (!attempt.held) throw new AlreadyRunning(attempt.holder.pid);

  let state = initialState(options);
  const update = (change: Partial<StackState>): void => {
    state = { ...state, ...change };
    writeState(dir, state);
  };
  let stepCount = 1;
  const finished = new Set<string>();
  const tell = (event: SupervisorEvent): void => {
    options.onEvent?.(event);
    if (event.type === 'ready' || event.type === 'task-done') finished.add(event.name);
    const last = describeEvent(event);
    const notes = event.type === 'note' ? [...state.notes, last].slice(-MAX_NOTES) : state.notes;
    update({ last, notes, progress: Math.min(1, finished.size / stepCount) });
  };
  const note = (text: string): void => tell({ type: 'note', text });

  try {
    const previous = readState(dir);
    const orphans = await endOrphans(previous);
    update({ phase: 'preparing' });
    if (attempt.mended) note('the last supervisor did not stop in good order; its lock was removed');
    if (orphans.length > 0) note(`processes it left behind were stopped: ${orphans.join(', ')}`);

    const log = { line: note, progress: context.log.progress };
    const inner: StackContext = { ...context, log };
    const { driver, reason } = await chooseDriver(inner);
    update({ stack: driver.name, stackReason: reason });
    note(`servers by ${reason}`);
    await driver.prepare(inner);
    const plan = await driver.plan(inner);
    const ports = await applicationPorts(inner, serversOnly);
    const steps = await allSteps({ context: inner, driver, plan, ports });
    stepCount = steps.length;
    await saveEndpoints(dir, plan.endpoints);
    const mail = ports === undefined ? undefined : mailFolder(inner).MAIL_DIR;
    update({
      phase: 'starting',
      urls: { ...shownUrls(plan.endpoints, ports), ...(mail === undefined ? {} : { mail: pathToFileURL(mail).href }) },
    });

    const supervisor = runSupervisor({
      processes: steps,
      logDir: logDir(dir),
      signal: context.signal,
      onEvent: tell,
      onChange: () => update({ processes: supervisor.statuses() }),
    });
    const finish = supervisor.done.then(async (reasonToStop) => {
      await plan.stop();
      update({
        phase: reasonToStop ? 'failed' : 'stopped',
        error: reasonToStop?.message ?? null,
        processes: supervisor.statuses(),
        services: [],
      });
      await attempt.lock.release();
      return reasonToStop;
    });
    context.signal.addEventListener('abort', () => update({ phase: 'stopping' }), { once: true });
    await supervisor.ready.catch(async (error: unknown) => {
      await finish;
      throw error;
    });
    update({ phase: 'ready', readyAt: new Date().toISOString(), services: await plan.services() });
    return {
      endpoints: plan.endpoints,
      apiUrl: state.urls['api'] ?? '',
      state: () => state,
      done: finish,
      stop: async () => {
        await supervisor.stop();
        await finish;
      },
    };
  } catch (error) {
    if (state.phase !== 'failed' && state.phase !== 'stopped')
      update({ phase: 'failed', error: error instanceof Error ? error.message : String(error) });
    await attempt.lock.release();
    throw error;
  }
}

function initialState(options: { mode: StackState['mode']; serversOnly: boolean }): StackState {
  const supervisor = identify(process.pid);
  if (!supervisor) throw new Error('this process cannot be identified');
  return {
    version: 1,
    phase: 'preparing',
    error: null,
    stack: null,
    stackReason: null,
    mode: options.mode,
    serversOnly: options.serversOnly,
    supervisor,
    startedAt: new Date().toISOString(),
    readyAt: null,
    last: '',
    progress: 0,
    notes: [],
    processes: [],
    services: [],
    urls: {},
  };
}

async function applicationPorts(context: StackContext, serversOnly: boolean): Promise<ApplicationPorts | undefined> {
  if (serversOnly) return undefined;
  const { env, dir } = context;
  const config = await loadConfig(dir);
  const fixed = env['PORT'] ? { api: Number(env['PORT']) } : {};
  await choosePorts(['api', 'api-metrics', 'workers-metrics'], { config, log: context.log, fixed });
  await saveConfig(dir, config);
  return {
    host: env['HOST'] ?? '127.0.0.1',
    api: portOf(config.ports, 'api'),
    apiMetrics: portOf(config.ports, 'api-metrics'),
    workersMetrics: portOf(config.ports, 'workers-metrics'),
  };
}

async function allSteps(parts: {
  context: StackContext;
  driver: StackDriver;
  plan: { endpoints: StackEndpoints; processes: readonly Step[]; steps: readonly Step[] };
  ports: ApplicationPorts | undefined;
}): Promise<Step[]> {
  const { context, plan, ports } = parts;
  return [
    ...plan.processes,
    ...plan.steps,
    databaseTask(plan.endpoints, context),
    ...(ports ? applications(context, plan.endpoints, ports) : []),
  ];
}

/** Every address by a short name; passwords taken out. */
function shownUrls(endpoints: StackEndpoints, ports: ApplicationPorts | undefined): Record<string, string> {
  const urls: Record<string, string> = {};
  if (ports) {
    urls['api'] = `http://${ports.host === '0.0.0.0' ? '127.0.0.1' : ports.host}:${ports.api}`;
    urls['docs'] = `${urls['api']}/docs`;
    urls['apiMetrics'] = `http://127.0.0.1:${ports.apiMetrics}/metrics`;
    urls['workersMetrics'] = `http://127.0.0.1:${ports.workersMetrics}/metrics`;
  }
  const servers = {
    database: endpoints.DATABASE_URL,
    queueRedis: endpoints.QUEUE_REDIS_URL,
    cacheRedis: endpoints.CACHE_REDIS_URL,
    nats: endpoints.NATS_URL,
    natsMonitor: endpoints.NATS_MONITOR_URL,
    search: endpoints.MEILI_URL,
    s3: endpoints.S3_ENDPOINT,
  };
  for (const [name, url] of Object.entries(servers)) if (url !== undefined) urls[name] = redactUrl(url);
  return urls;
}
