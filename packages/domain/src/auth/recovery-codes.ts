/** The text of recovery codes: what is shown once, and the hash that is kept. */
import { randomInt } from 'node:crypto';
import { secretHash } from './sessions.ts';

/** Without the letters and digits that are taken for one another: 0 and o, 1, i and l. */
const alphabet = '23456789abcdefghjkmnpqrstuvwxyz';
const groups = 3;
const groupLength = 5;
/** Codes that a person gets with their factor. */
export const recoveryCodeCount = 10;

/** A code like `x7k2m-p9q4r-w3h8t`, of 74 bits. */
export function newRecoveryCode(): string {
  const group = (): string =>
    Array.from({ length: groupLength }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
  return Array.from({ length: groups }, group).join('-');
}

/**
 * Hex SHA-256, whatever the case and wherever the dashes and blanks. One round is enough: a code is a random number of 74 bits and no word that
 * somebody chose, so there is nothing to try in order; a slow hash would cost each sign-in ten times its time and protect nothing more.
 */
export function recoveryCodeHash(code: string): string {
  return secretHash(code.toLowerCase().replaceAll(/[\s-]/g, '')).toString('hex');
}
