/** What the supervisor needs to know about one process or one piece of work. */

/** One long-running process, described as data. */
export interface ProcessSpec {
  step: 'process';
  name: string;
  kind: 'server' | 'app';
  /** What it is for, in two or three words. */
  role: string;
  /** Address to show people, without secrets. */
  url: string | null;
  command: string;
  args: readonly string[];
  /** The whole environment of the process; nothing is inherited. */
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** `bwrap` reports the server's own process id on this descriptor; absent when `command` is the process itself. */
  pidFd?: number;
  /** Makes the process end by itself (SIGTERM) when the supervisor is gone; for Node processes only. */
  leash?: boolean;
  /** Sent to the process itself to end it in good order. */
  stopSignal: NodeJS.Signals;
  /** After this the process is killed. */
  stopTimeoutMs: number;
  readyTimeoutMs: number;
  /** Runs before every start, restarts included: stale lock files, configuration. */
  before?: () => Promise<void>;
  /** Resolves when the process serves; rejects with the reason while it does not yet. Called repeatedly. */
  ready: (signal: AbortSignal) => Promise<void>;
}

/** Work that happens once between processes, such as migrating. */
export interface TaskSpec {
  step: 'task';
  name: string;
  run: (signal: AbortSignal) => Promise<void>;
}

export type Step = ProcessSpec | TaskSpec;
