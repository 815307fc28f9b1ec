/** Forged and malformed access tokens, made from a genuine one and the key that signed it. */
import { createHmac, createPrivateKey, createPublicKey, sign as signRaw, type KeyObject } from 'node:crypto';
import type { JWK } from 'jose';

/** Base64url of text, or of a value's JSON. */
const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export interface Forge {
  readonly genuine: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly header: Readonly<Record<string, unknown>>;
  /** Signed by the API's own key, with these differences; an undefined member is left out. */
  signed(changes: Record<string, unknown>, head?: Record<string, unknown>): string;
  /** Two parts as they are, signed by the API's own key. */
  raw(head: string, body: string): string;
  /** Signed by a stranger's key. */
  strange(changes: Record<string, unknown>, head?: Record<string, unknown>): string;
}

/** `key` signed `genuine`; `stranger` is a key of the same kind that the API does not know. */
export function createForge(genuine: string, key: JWK, stranger: JWK): Forge {
  const [head = '', body = ''] = genuine.split('.');
  const parsed = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString());
  const [header, claims] = [parsed(head), parsed(body)];
  const by = (jwk: JWK, text: string): string => {
    const own = createPrivateKey({ key: jwk, format: 'jwk' });
    const signature =
      jwk.alg === 'EdDSA'
        ? signRaw(null, Buffer.from(text), own)
        : signRaw('sha256', Buffer.from(text), { key: own, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  };
  const text = (changes: Record<string, unknown>, extra: Record<string, unknown>): string =>
    `${encode({ ...header, ...extra })}.${encode({ ...claims, ...changes })}`;
  return {
    genuine,
    claims,
    header,
    signed: (changes, extra = {}) => by(key, text(changes, extra)),
    raw: (first, second) => by(key, `${first}.${second}`),
    strange: (changes, extra = {}) => by(stranger, text(changes, extra)),
  };
}

/** The order of the base point of P-256 and of Ed25519. */
const p256Order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
const ed25519Order = 2n ** 252n + 27742317777372353535851937790883648493n;

const bytes32 = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');

/** Every kind of forgery that a key of any algorithm calls for, by what is wrong with it (RFC 8725, reliability.md AU-1). */
export function forgeriesOf(
  forge: Forge,
  key: JWK,
  facts: { readonly refreshToken: string; readonly otherId: string },
): Record<string, string> {
  const { genuine, claims, header, signed, raw, strange } = forge;
  const [head = '', body = '', signature = ''] = genuine.split('.');
  const own: KeyObject = createPrivateKey({ key, format: 'jwk' });
  const pem = createPublicKey(own).export({ type: 'spki', format: 'pem' }).toString();
  const hmac = (secret: string | Buffer, extra: Record<string, unknown> = {}): string => {
    const text = `${encode({ ...header, alg: 'HS256', ...extra })}.${body}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  const now = Math.floor(Date.now() / 1000);
  const { d: _private, ...publicKey } = key;
  const text = JSON.stringify(claims);
  const without = (part: string): string => `${head}.${body}.${part}`;
  return {
    // Algorithms.
    'alg none without signature': `${encode({ ...header, alg: 'none' })}.${body}.`,
    'alg none with the old signature': `${encode({ ...header, alg: 'none' })}.${body}.${signature}`,
    'alg NONE in capitals': `${encode({ ...header, alg: 'NONE' })}.${body}.AAAA`,
    'alg nOnE': `${encode({ ...header, alg: 'nOnE' })}.${body}.${signature}`,
    'no alg': signed({}, { alg: undefined }),
    'alg that is a list': signed({}, { alg: ['EdDSA', 'none'] }),
    'alg of another family with the same signature': signed({}, { alg: header['alg'] === 'EdDSA' ? 'ES256' : 'EdDSA' }),
    'alg RS256': signed({}, { alg: 'RS256' }),
    'alg ES256K': signed({}, { alg: 'ES256K' }),
    'alg in lower case': signed({}, { alg: String(header['alg']).toLowerCase() }),
    'HS256 keyed with the public key in PEM': hmac(pem),
    'HS256 keyed with the public key in JWK': hmac(Buffer.from(String(key.x), 'base64url')),
    'HS256 keyed with the JWK as text': hmac(JSON.stringify(publicKey)),
    'HS256 keyed with nothing': hmac(''),
    'HS256 keyed with the kid': hmac(String(header['kid'])),
    'HS512 by name alone': hmac(pem, { alg: 'HS512' }),
    // Key ids.
    'an unknown kid': signed({}, { kid: 'test-key-2' }),
    'no kid': signed({}, { kid: undefined }),
    'a kid that is a path': signed({}, { kid: '../../../../dev/null' }),
    'a kid that is SQL': signed({}, { kid: `' union select 'x` }),
    'a kid that is a URL': signed({}, { kid: 'http://127.0.0.1:1/key' }),
    'the kid __proto__': signed({}, { kid: '__proto__' }),
    'the kid constructor': signed({}, { kid: 'constructor' }),
    'a kid that is a number': signed({}, { kid: 0 }),
    'a kid that is null': signed({}, { kid: null }),
    'a kid that is an object': signed({}, { kid: { kid: header['kid'] } }),
    'a kid with a NUL': signed({}, { kid: `${String(header['kid'])}\0` }),
    "a stranger's signature under our kid": strange({}),
    // Keys brought along or pointed at.
    'a key of its own in jwk': strange({}, { jwk: publicKey }),
    'a key of its own in x5c': strange({}, { x5c: ['MIIB'] }),
    'a key set of its own in jku': strange({}, { jku: 'http://127.0.0.1:1/jwks.json' }),
    'a certificate of its own in x5u': strange({}, { x5u: 'http://127.0.0.1:1/x.pem' }),
    'our signature beside a jku': signed({}, { jku: 'http://127.0.0.1:1/jwks.json' }),
    'our signature beside a jwk': signed({}, { jwk: publicKey }),
    // Headers.
    'a critical header nobody knows': signed({}, { crit: ['x'], x: 1 }),
    'an empty list of critical headers': signed({}, { crit: [] }),
    'an unencoded payload': signed({}, { crit: ['b64'], b64: false }),
    'a compressed payload': signed({}, { zip: 'DEF' }),
    'type JWT': signed({}, { typ: 'JWT' }),
    'no type': signed({}, { typ: undefined }),
    'the type of an ID token': signed({}, { typ: 'id_token+jwt' }),
    'the type of a logout token': signed({}, { typ: 'logout+jwt' }),
    'a type in capitals': signed({}, { typ: 'AT+JWT' }),
    'a header that is no JSON': raw(encode('nothing'), body),
    'a header that is a list': raw(encode('[]'), body),
    'a header with one member twice': raw(encode(`{"alg":"none",${JSON.stringify(header).slice(1)}`), body),
    'a header with a space': raw(encode(JSON.stringify(header).replace(',', ', ')), body),
    // Claims.
    'another issuer': signed({ iss: 'elsewhere' }),
    'an issuer that begins like ours': signed({ iss: 'novax.evil.example' }),
    'an issuer in capitals': signed({ iss: 'NOVAX' }),
    'a list of issuers': signed({ iss: ['novax'] }),
    'no issuer': signed({ iss: undefined }),
    'another audience': signed({ aud: 'another-api' }),
    'an audience among others': signed({ aud: ['novax-api', 'another-api'] }),
    'no audience': signed({ aud: undefined }),
    'expired beyond the skew': signed({ exp: now - 31, iat: now - 600 }),
    'without an end': signed({ exp: undefined }),
    'an end that is text': signed({ exp: '9999999999' }),
    'an end out of this world': signed({ exp: 1e300 }),
    'an end in the past and signed long ago': signed({ exp: now + 600, iat: now - 3_600 }),
    'not valid yet, beyond the skew': signed({ nbf: now + 60 }),
    'not valid before a text': signed({ nbf: 'now' }),
    'issued in the future, beyond the skew': signed({ iat: now + 60 }),
    'without a time of issue': signed({ iat: undefined }),
    'without a person': signed({ sub: undefined }),
    'a person who is no id': signed({ sub: `' or true --` }),
    'a person who is a list': signed({ sub: [claims['sub']] }),
    'another person in the same session': signed({ sub: facts.otherId }),
    'a session that does not exist': signed({ sid: 'x'.repeat(43) }),
    'without a session': signed({ sid: undefined }),
    'a session that is an object': signed({ sid: { $ne: null } }),
    'an ID token': signed({ nonce: 'n', sid: undefined }, { typ: undefined }),
    'a person named twice': raw(head, encode(`{"sub":"${facts.otherId}",${text.slice(1)}`)),
    'an end named twice': raw(head, encode(`${text.slice(0, -1)},"exp":${now + 500}}`)),
    'a payload that is no object': raw(head, encode('[]')),
    'a payload that is null': raw(head, encode('null')),
    'a payload with a space': raw(head, encode(` ${text}`)),
    'a payload in UTF-16': raw(head, Buffer.from(text, 'utf16le').toString('base64url')),
    'a payload that is no UTF-8': raw(head, Buffer.from([0x7b, 0xff, 0xfe, 0x7d]).toString('base64url')),
    'a tampered payload': `${head}.${encode({ ...claims, sub: facts.otherId })}.${signature}`,
    // Signatures.
    'a signature of zeros': without(Buffer.alloc(64).toString('base64url')),
    'r zero, s one': without(Buffer.concat([bytes32(0n), bytes32(1n)]).toString('base64url')),
    'r one, s zero': without(Buffer.concat([bytes32(1n), bytes32(0n)]).toString('base64url')),
    'r and s the order of P-256': without(
      Buffer.concat([bytes32(p256Order), bytes32(p256Order)]).toString('base64url'),
    ),
    's beyond the order of Ed25519': without(beyondOrder(signature)),
    'all bits set': without(Buffer.alloc(64, 0xff).toString('base64url')),
    'a signature in DER': without(
      signRaw('sha256', Buffer.from(`${head}.${body}`), ecdsaOr(own)).toString('base64url'),
    ),
    'a signature cut short': genuine.slice(0, -4),
    'a signature with bytes after it': `${genuine}AAAA`,
    'no signature': `${head}.${body}.`,
    'the last letter spelled otherwise': respelled(genuine),
    // Shapes.
    'two parts': `${head}.${body}`,
    'four parts': `${genuine}.x`,
    'only dots': '..',
    'one letter each': 'a.b.c',
    'an encrypted token': `${encode({ alg: 'dir', enc: 'A256GCM' })}..x.x.x`,
    'an encrypted token that grows without bound': `${encode({ alg: 'PBES2-HS256+A128KW', p2c: 2 ** 31 - 1, p2s: 'x', enc: 'A128GCM', zip: 'DEF' })}.x.x.x.x`,
    'JSON serialization': JSON.stringify({ payload: body, protected: head, signature }),
    'base64 with padding': `${head}=.${body}.${signature}`,
    'base64 of the other alphabet': `${head}.${body}.${signature.slice(0, -2)}+/`,
    'a space before': ` ${genuine}`,
    'a space inside': `${head}. ${body}.${signature}`,
    'a tab inside': `${head}.\t${body}.${signature}`,
    'letters that are no ASCII': `${head}.${body}.\u00e9${signature.slice(1)}`,
    'the token twice': `${genuine} ${genuine}`,
    'the token twice with a comma': `${genuine}, Bearer ${genuine}`,
    'seven thousand letters': `${'a'.repeat(4_000)}.${'b'.repeat(2_000)}.${'c'.repeat(1_000)}`,
    'a genuine signature over too much': signed({ note: 'x'.repeat(4_000) }),
    'a refresh token': facts.refreshToken,
    'nothing': '',
    'null': 'null',
  };
}

/** Ed25519's second half plus the order: the same point, another spelling. */
function beyondOrder(signature: string): string {
  const bytes = Buffer.from(signature, 'base64url');
  const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`);
  const beyond = bytes32(s + ed25519Order).reverse();
  return Buffer.concat([bytes.subarray(0, 32), beyond]).toString('base64url');
}

/** The last of 86 letters holds four bits that say nothing. */
function respelled(token: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const at = letters.indexOf(token.at(-1) ?? '');
  return `${token.slice(0, -1)}${letters[at ^ 1] ?? ''}`;
}

/** A key that signs in DER; an Ed25519 key has no such form, so a stranger's does. */
function ecdsaOr(own: KeyObject): KeyObject {
  if (own.asymmetricKeyType === 'ec') return own;
  return createPrivateKey({
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: 'axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY',
      y: 'T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU',
      d: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE',
    },
    format: 'jwk',
  });
}
