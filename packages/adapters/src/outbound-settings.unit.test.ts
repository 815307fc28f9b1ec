/** What may be asked inside the network is an origin, or the API does not start. */
import { expect, test } from 'vitest';
import { outboundAllowSchema } from './outbound-settings.ts';

test('origins are separated by commas; nothing allows nothing', () => {
  expect(outboundAllowSchema.parse(undefined)).toEqual([]);
  expect(outboundAllowSchema.parse(' ,')).toEqual([]);
  const two = ['http://127.0.0.1:3999', 'https://idp.inside.example'];
  expect(outboundAllowSchema.parse(two.join(' , '))).toEqual(two);
});

test.each([
  '127.0.0.1:3999',
  'http://127.0.0.1:3999/',
  'http://127.0.0.1:3999/path',
  'http://user@127.0.0.1:3999',
  'https://idp.inside.example:443',
  'http://127.1:3999',
  'ftp://127.0.0.1',
  'http://*.inside.example',
  'http://a.example http://b.example',
  '*',
])('%s is no origin', (text) => {
  expect(outboundAllowSchema.safeParse(text).success).toBe(false);
});
