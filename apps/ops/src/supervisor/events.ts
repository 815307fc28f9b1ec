/** What a supervisor tells while it works, and the sentences people read. */
import { humanDuration } from '../cli/output.ts';

export type SupervisorEvent =
  | { type: 'starting'; name: string }
  | { type: 'ready'; name: string; afterMs: number; url: string | null }
  | { type: 'task-started'; name: string }
  | { type: 'task-done'; name: string; afterMs: number }
  | { type: 'down'; name: string; text: string; delayMs: number; attempt: number }
  | { type: 'gave-up'; name: string; text: string }
  | { type: 'all-ready'; afterMs: number }
  | { type: 'stopping'; name: string }
  | { type: 'stopped'; name: string; killed: boolean }
  | { type: 'note'; text: string };

/** One sentence, as in "api exited with code 1, restarting in 2 s (attempt 3)". */
export function describeEvent(event: SupervisorEvent): string {
  switch (event.type) {
    case 'starting':
      return `${event.name} starting`;
    case 'ready':
      return `${event.name} ready after ${humanDuration(event.afterMs)}${event.url === null ? '' : ` at ${event.url}`}`;
    case 'task-started':
      return `${event.name}: started`;
    case 'task-done':
      return `${event.name}: done in ${humanDuration(event.afterMs)}`;
    case 'down':
      return `${event.name} ${event.text}, restarting in ${humanDuration(event.delayMs)} (attempt ${event.attempt})`;
    case 'gave-up':
      return `${event.name} ${event.text}; giving up`;
    case 'all-ready':
      return `everything is ready after ${humanDuration(event.afterMs)}`;
    case 'stopping':
      return `${event.name} stopping`;
    case 'stopped':
      return event.killed ? `${event.name} did not stop in time and was killed` : `${event.name} stopped`;
    case 'note':
      return event.text;
  }
}
