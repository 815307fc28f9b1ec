/** `novax status`: every process, address and state of the local stack. */
import { fileURLToPath } from 'node:url';
import type { Command } from '@commander-js/extra-typings';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import { humanDuration } from '../cli/output.ts';
import type { ServiceStatus } from '../stack/driver.ts';
import { currentState } from '../supervisor/attach.ts';
import { isAlive } from '../supervisor/pids.ts';
import type { StackState } from '../supervisor/state.ts';

interface Current {
  alive: boolean;
  state: StackState;
}

export function register(command: Command, context: () => CommandContext): void {
  command
    .addHelpText(
      'after',
      `\nExit code 0 when everything is ready, 1 when not.\n${examples('npx novax status', 'npx novax status -o json')}`,
    )
    .action(async () => status(context()));
}

async function status({ dir, out }: CommandContext): Promise<void> {
  const current = await currentState(dir);
  const document = statusDocument(current);
  out.json(document);
  if (current) printStatus(out, current);
  else out.line('nothing is running; start with: npx novax up');
  if (document.running) return;
  // The document has said it; a program reads the exit code.
  throw new CommandFailure(current?.alive ? `the stack is ${document.phase}` : 'nothing is running', { quiet: true });
}

/** What `-o json` prints; field names are stable. */
export function statusDocument(current: Current | undefined) {
  const state = current?.state;
  const processes = state ? liveProcesses(state) : [];
  const running =
    current?.alive === true && state?.phase === 'ready' && processes.every((process) => process.state === 'ready');
  return {
    running,
    phase: current ? (current.alive ? current.state.phase : deadPhase(current.state)) : 'stopped',
    error: state?.error ?? null,
    stack: state?.stack ?? null,
    stackReason: state?.stackReason ?? null,
    supervisor:
      current?.alive && state
        ? {
            pid: state.supervisor.pid,
            mode: state.mode,
            startedAt: state.startedAt,
            uptimeMs: Date.now() - Date.parse(state.startedAt),
          }
        : null,
    urls: current?.alive ? (state?.urls ?? {}) : {},
    processes: processes.map(({ name, kind, role, url, pid, state: phase, restarts, startedAt, logFile }) => ({
      name,
      kind,
      role,
      url,
      pid,
      state: phase,
      restarts,
      startedAt,
      uptimeMs: startedAt === null ? null : Date.now() - Date.parse(startedAt),
      logFile,
    })),
  };
}

/** For people: the processes, or one line when there are none. */
export function printStatus(out: Output, current: Current): void {
  const document = statusDocument(current);
  if (document.phase === 'stopped') return out.line('nothing is running; start with: npx novax up');
  if (!current.alive) {
    out.line(`${out.colors.red(document.phase)}${document.error === null ? '' : `: ${document.error}`}`);
    if (document.processes.every((process) => process.pid === null))
      return out.line('nothing is running; start with: npx novax up');
  }
  const color = { ready: out.colors.green, failed: out.colors.red };
  out.table(
    ['NAME', 'STATE', 'ROLE', 'URL', 'PID', 'UPTIME', 'RESTARTS'],
    document.processes.map((process) => [
      process.name,
      process.state === 'ready' || process.state === 'failed'
        ? color[process.state](process.state)
        : out.colors.yellow(process.state),
      process.role,
      process.url ?? '',
      process.pid === null ? '' : String(process.pid),
      process.uptimeMs === null ? '' : humanDuration(process.uptimeMs),
      String(process.restarts),
    ]),
  );
  out.line();
  if (document.urls['docs'] !== undefined)
    out.line(
      `API ${out.colors.cyan(document.urls['api'] ?? '')}, its documentation ${out.colors.cyan(document.urls['docs'])}`,
    );
  if (document.urls['mail'] !== undefined) out.line(`mails lie in ${fileURLToPath(document.urls['mail'])}`);
  if (document.supervisor)
    out.line(
      `servers by ${document.stackReason}; supervisor process ${document.supervisor.pid}, up ${humanDuration(document.supervisor.uptimeMs)}`,
    );
  out.line('logs: npx novax logs <name> -f    stop: npx novax down');
}

/** A process that the state calls running but that is gone (its supervisor was killed) is shown as stopped. */
function liveProcesses(state: StackState): ServiceStatus[] {
  const own = state.processes.map((process): ServiceStatus => {
    const gone = process.pid !== null && !(process.identity && isAlive(process.identity));
    return gone ? { ...process, pid: null, state: 'stopped', startedAt: null } : process;
  });
  return [...own, ...state.services];
}

/** Without a living supervisor, any phase but an orderly end means that it was killed. */
function deadPhase(state: StackState): string {
  return state.phase === 'stopped' || state.phase === 'failed' ? state.phase : 'killed';
}
