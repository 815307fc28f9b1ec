/** Password hashing: argon2id, one at a time, so that sign-ins cannot starve reads. */
import { hash, verify, type Options } from '@node-rs/argon2';
import { AppError } from '@novax/runtime/errors';

/** OWASP's floor for argon2id: 19 MiB, two passes, one lane (Password Storage Cheat Sheet). Algorithm 2 is argon2id. */
const options = { memoryCost: 19_456, timeCost: 2, parallelism: 1, algorithm: 2 } as const satisfies Options;

/** Hashes waiting for their turn before a caller is refused. */
const waitingMax = 64;

export interface Passwords {
  /** The hash in PHC form. Throws RATE_LIMITED when too many wait. */
  hash(password: string): Promise<string>;
  /**
   * True when the password is the hash's. Against null, or the mark of an account without a password, it takes as long and answers false, so
   * that neither can be told from an account that has one.
   */
  verify(passwordHash: string | null, password: string): Promise<boolean>;
  /** False for a hash that costs less to guess than one made now. */
  isCurrent(passwordHash: string): boolean;
}

/** A gate of its own per process; each hash takes 50–100 ms of one core. */
export function createPasswords(): Passwords {
  let tail: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let decoy: Promise<string> | undefined;

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= waitingMax)
      throw new AppError('RATE_LIMITED', { detail: 'too many passwords to check', retryAfterS: 5 });
    waiting += 1;
    const turn = tail.then(work);
    tail = turn.catch(() => undefined).finally(() => (waiting -= 1));
    return turn;
  }

  return {
    hash: (password) => inTurn(() => hash(password, options)),
    async verify(passwordHash, password) {
      // Anything else would be refused at once, and the time would tell.
      const real = passwordHash?.startsWith('$argon2') === true ? passwordHash : null;
      decoy ??= inTurn(() => hash('nobody has this password', options)).catch((thrown: unknown) => {
        // Made again at the next call, and never an unhandled rejection of a call that does not need it.
        decoy = undefined;
        if (real === null) throw thrown;
        return '';
      });
      const against = real ?? (await decoy);
      const matches = await inTurn(() => verify(against, password).catch(() => false));
      return matches && real !== null;
    },
    isCurrent(passwordHash) {
      const [, memory, passes] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/.exec(passwordHash) ?? [];
      return Number(memory) >= options.memoryCost && Number(passes) >= options.timeCost;
    },
  };
}
