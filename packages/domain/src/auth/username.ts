/** A user name for somebody whose provider knows them by another. */

const lengthMax = 40;

/** The nearest valid user name to what is wished for; with a suffix when that is given, for names that are taken. Never empty. */
export function usernameFrom(wish: string, suffix = ''): string {
  const tail = suffix === '' ? '' : `-${suffix}`;
  const plain = wish
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .slice(0, lengthMax - tail.length)
    .replace(/^[_.-]+|[_.-]+$/g, '');
  return `${plain === '' ? 'user' : plain}${tail}`;
}
