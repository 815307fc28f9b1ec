/** What the supervisor leaves on disk for other commands: `<dir>/run/state.json`. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ServiceStatus, StackName } from '../stack/driver.ts';
import type { ProcessIdentity } from './pids.ts';
import type { SupervisedStatus } from './supervised.ts';

export type Phase = 'preparing' | 'starting' | 'ready' | 'stopping' | 'stopped' | 'failed';

export interface StackState {
  version: 1;
  phase: Phase;
  /** Why, when `phase` is `failed`. */
  error: string | null;
  stack: StackName | null;
  /** Why this kind of stack was chosen. */
  stackReason: string | null;
  mode: 'foreground' | 'detached';
  /** Servers only, without the API and the workers. */
  serversOnly: boolean;
  supervisor: ProcessIdentity;
  startedAt: string;
  readyAt: string | null;
  /** The last thing that happened, for whoever waits. */
  last: string;
  /** Share of the start that is done, 0–1. */
  progress: number;
  /** What a person should know about this start: ports that moved, leftovers that were mended, migrations applied. */
  notes: string[];
  processes: SupervisedStatus[];
  /** Servers that something else runs. */
  services: ServiceStatus[];
  /** Addresses by name, without secrets. */
  urls: Record<string, string>;
}

export const runDir = (dir: string): string => join(dir, 'run');
export const logDir = (dir: string): string => join(dir, 'run', 'logs');
export const lockPath = (dir: string): string => join(dir, 'run', 'supervisor.lock');
const statePath = (dir: string): string => join(dir, 'run', 'state.json');

/** Replaces the file in one step; synchronous, so that the order of states on disk is the order in which they happened. */
export function writeState(dir: string, state: StackState): void {
  const path = statePath(dir);
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}.partial`;
  writeFileSync(partial, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o640 });
  renameSync(partial, path);
}

/** The state left by the supervisor that ran last, alive or not; undefined when there is none that can be read. */
export function readState(dir: string): StackState | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(statePath(dir), 'utf8'));
    // Written by `writeState` alone; the version tells an older shape apart.
    return typeof value === 'object' && value !== null && 'version' in value && value.version === 1
      ? (value as StackState)
      : undefined;
  } catch {
    return undefined;
  }
}
