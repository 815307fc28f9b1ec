/** Whatever a provider calls somebody, the user name made of it is one. */
import { usernameSchema } from '@novax/contracts/api/auth';
import { expect, test } from 'vitest';
import { usernameFrom } from './username.ts';

test.each([
  ['ann', 'ann'],
  ['Ann.Lee_2', 'Ann.Lee_2'],
  ['Zoë Ångström', 'Zoe-Angstrom'],
  ['ann@corp.test', 'ann-corp.test'],
  ['..ann..', 'ann'],
  ['', 'user'],
  ['---', 'user'],
  ['Анна', 'user'],
  ['山田 taro', 'taro'],
  [`a'; drop table users; --`, 'a-drop-table-users'],
  ['x'.repeat(100), 'x'.repeat(40)],
  [`${'x'.repeat(39)}.y`, 'x'.repeat(39)],
  ['a\0b', 'a-b'],
])('%j becomes %s', (wish, name) => {
  expect(usernameFrom(wish)).toBe(name);
});

test('every name is valid, with or without a suffix, which is never cut', () => {
  for (const wish of ['', '-', 'ann', 'é', '..a..', 'x'.repeat(33), 'x'.repeat(200), `${'x'.repeat(32)}.-.-.-.-`]) {
    expect(usernameSchema.safeParse(usernameFrom(wish)).success, wish).toBe(true);
    const suffixed = usernameFrom(wish, 'a1b2c3');
    expect(usernameSchema.safeParse(suffixed).success, suffixed).toBe(true);
    expect(suffixed).toMatch(/-a1b2c3$/);
  }
});
