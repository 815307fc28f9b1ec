/** Password hashing: argon2id, one at a time, so that sign-ins cannot starve reads. */
import { hash, verify, type Options } from '@node-rs/argon2';
import { AppError } from '@novax/runtime/errors';

/** OWASP's floor for argon2id: 19 MiB, two passes, one lane (Password Storage Cheat Sheet). Algorithm 2 is argon2id. */
const options: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1, algorithm: 2 };

/** Hashes waiting for their turn before a caller is refused. */
const waitingMax = 64;

export interface Passwords {
  /** The hash in PHC form. Throws RATE_LIMITED when too many wait. */
  hash(password: string): Promise<string>;
  /** True when the password is the hash's. Against null it takes as long and answers false, so that unknown people cannot be told from known ones. */
  verify(passwordHash: string | null, password: string): Promise<boolean>;
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
      // Whoever has no password bears a mark in place of a hash, which would be refused faster than one.
      const usable = passwordHash?.startsWith('$') === true ? passwordHash : null;
      decoy ??= inTurn(() => hash('nobody has this password', options)).catch((thrown: unknown) => {
        // Made again at the next call, and never an unhandled rejection of a call that does not need it.
        decoy = undefined;
        if (usable === null) throw thrown;
        return '';
      });
      const against = usable ?? (await decoy);
      const matches = await inTurn(() => verify(against, password).catch(() => false));
      return matches && usable !== null;
    },
  };
}
