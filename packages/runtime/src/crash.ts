/** Named places where a process can be made to die, for tests of what a death there costs. Nothing happens at them unless one is armed. */

/** Every place, in the order in which an event passes them. The crash matrix has a test for each. */
export const crashPoints = [
  /** A tenant transaction has written everything and has not committed. */
  'tx.before_commit',
  /** It has committed; nobody has been told. */
  'tx.after_commit',
  /** The relay knows which events it will publish. */
  'relay.after_claim',
  /** Events are on the wire; no acknowledgement has come. */
  'relay.after_publish',
  /** The stream has acknowledged them; the rows still say pending. */
  'relay.after_ack',
  /** The rows say published. */
  'relay.after_mark',
  /** A consumer has an event in hand and has done nothing. */
  'consumer.before_effect',
  /** Its effect is safe; the stream does not know. */
  'consumer.after_effect',
  /** The stream knows. */
  'consumer.after_ack',
  /** A job is done; the queue does not know. */
  'job.after_effect',
] as const;
export type CrashPoint = (typeof crashPoints)[number];

let armed: { readonly point: CrashPoint; left: number } | undefined;

/** Reads `point` or `point:n` (die the n-th time). Throws RangeError for a place that does not exist. */
export function parseCrash(text: string): { readonly point: CrashPoint; readonly times: number } {
  const [name = '', times = '1'] = text.split(':');
  const point = crashPoints.find((known) => known === name);
  if (point === undefined || !/^[1-9]\d*$/.test(times))
    throw new RangeError(
      `"${text}" names no crash point; they are ${crashPoints.join(', ')}, each with ":n" for the n-th time`,
    );
  return { point, times: Number(times) };
}

/** Makes this process die at a place, once it is reached that often; undefined disarms. For tests only. */
export function armCrash(text: string | undefined): void {
  if (text === undefined) return void (armed = undefined);
  const { point, times } = parseCrash(text);
  armed = { point, left: times };
}

/** Dies here as by `kill -9`, if this place is armed and its time has come. */
export function crashAt(point: CrashPoint): void {
  if (armed?.point !== point) return;
  armed.left -= 1;
  if (armed.left === 0) process.kill(process.pid, 'SIGKILL');
}
