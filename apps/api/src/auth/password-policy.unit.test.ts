/** Which passwords are refused, and that the others are not. */
import { AppError } from '@novax/runtime/errors';
import { expect, test } from 'vitest';
import { createPasswordPolicy } from './password-policy.ts';

const policy = await createPasswordPolicy();
const ada = { field: 'newPassword', email: 'Ada.Lovelace@analytical.example', username: 'countess' } as const;
const refusal = (password: string): AppError | null => {
  try {
    policy.check(password, ada);
    return null;
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code === 'VALIDATION_FAILED') return thrown;
    throw thrown;
  }
};
const verdict = (password: string): 'taken' | 'refused' => (refusal(password) === null ? 'taken' : 'refused');

test.each([
  '123456789012',
  '1qaz2wsx3edc',
  'LEAVEMEALONE',
  'Password1234',
  '!!!password!!!',
  '2026football2026',
  'monkeymonkey',
  'dragondragondragon',
  'dragon1dragon1',
  'aaaaaaaaaaaa',
  '1234567890123',
  '987654321098',
  'ghijklmnopqr',
  'QwertyuiopAs',
  'abcabcabcabcabc',
])('%s is refused as common', (password) => {
  expect(verdict(password)).toBe('refused');
});

test.each([
  'ada.lovelace@analytical.example',
  'AdaLovelace1815',
  'lovelace-ada.lovelace',
  'countess12345',
  'Countess.Countess',
  'novaxnovax2026',
  'NovaX-countess-1',
  'analytical.99',
])('%s is refused as made of the names of its owner or the product', (password) => {
  expect(verdict(password)).toBe('refused');
});

test.each([
  'correct horse battery staple',
  'trumpet-anvil-9',
  'the countess of novax walks home',
  'пароль из пяти слов',
  '  spaces count too  ',
  '9f3kQ!x82mZp',
  'sevenmonkeyscounting',
])('%s is taken', (password) => {
  expect(verdict(password)).toBe('taken');
});

test('the refusal names the field and does not repeat the password', () => {
  const refused = refusal('Password1234');
  expect(refused).toMatchObject({ issues: [{ path: 'newPassword', message: expect.any(String) }] });
  expect(JSON.stringify(refused)).not.toContain('Password1234');
});
