/** Which new passwords are refused: those that everybody tries first (ASVS 5.0 6.2.4) and those made of the person's own names (6.2.11). */
import { AppError } from '@novax/runtime/errors';

export interface PasswordPolicy {
  /** Throws VALIDATION_FAILED naming `field`. The contract has looked at the length; nothing is trimmed or cut here or anywhere. */
  check(
    password: string,
    person: { readonly field: 'password' | 'newPassword'; readonly email: string; readonly username: string },
  ): void;
}

const productName = 'novax';
/** What must be left of a password once names are taken out of it; fewer characters are guessed at once. */
const ownCharactersMin = 8;
/** What fingers and children run through; a part of any, forwards or backwards, is no secret. */
const runs = ['1234567890', 'abcdefghijklmnopqrstuvwxyz', 'qwertyuiopasdfghjklzxcvbnm', 'qazwsxedcrfvtgbyhnujmikolp'];
/** Shorter names stand in too many words to mean anything. */
const nameCharactersMin = 3;

/** Loads its list of 49,000 common passwords (0.4 MB, some 40 ms of one core) before it answers: at somebody's call it would hold up everybody else's. */
export async function createPasswordPolicy(): Promise<PasswordPolicy> {
  const common = await commonPasswords();
  return {
    check(password, { field, email, username }) {
      if (isCommon(password, common)) refuse(field, 'is among the passwords that everybody tries first');
      if (isMadeOf(password, namesOf(email, username)))
        refuse(field, 'is mostly your e-mail, your user name or the name of this product');
    },
  };
}

async function commonPasswords(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  return new Set(dictionary['passwords-common']);
}

function refuse(field: string, message: string): never {
  throw new AppError('VALIDATION_FAILED', {
    issues: [{ path: field, message }],
    detail: `${field} ${message}`,
    text: `The password ${message}. Choose another, such as four words that have nothing to do with each other.`,
  });
}

/** True for a common password as it is, in capitals, with digits and punctuation around it, or said more than once, and for a run of keys. */
function isCommon(password: string, common: ReadonlySet<string>): boolean {
  const lower = password.toLowerCase();
  const bare = lower.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  return isRun(lower) || [lower, bare].some((text) => common.has(text) || saysAgain(text, common));
}

function isRun(text: string): boolean {
  const backwards = text.split('').toReversed().join('');
  return [text, backwards].some((part) => runs.some((run) => run.repeat(part.length / run.length + 2).includes(part)));
}

/** True for something common, or too short to matter, repeated to make up the whole. */
function saysAgain(text: string, common: ReadonlySet<string>): boolean {
  for (let size = 1; size <= text.length / 2; size++) {
    if (text.length % size !== 0) continue;
    const unit = text.slice(0, size);
    const repeated = unit.repeat(text.length / size) === text;
    if (repeated && (size <= 4 || common.has(unit) || common.has(unit.replace(/[^\p{L}]+$/u, '')))) return true;
  }
  return false;
}

function namesOf(email: string, username: string): readonly string[] {
  const [local = '', domain = ''] = email.split('@');
  const words = [local, username].flatMap((name) => name.split(/[._+-]/));
  const names = [email, local, username, ...words, domain, ...domain.split('.').slice(0, -1), productName].map(plain);
  // Longest first, so that a part of a name does not hide the whole of it.
  return [...new Set(names)].filter((name) => name.length >= nameCharactersMin).toSorted((a, b) => b.length - a.length);
}

function isMadeOf(password: string, names: readonly string[]): boolean {
  const whole = plain(password);
  const left = names.reduce((text, name) => text.replaceAll(name, ''), whole);
  return left !== whole && left.length < ownCharactersMin;
}

/** Letters and digits alone, in lower case. */
function plain(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}
