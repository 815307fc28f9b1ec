/** X.509 certificates for tests, written by hand: Node can read them and not make them, and not every machine has openssl. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** As `tls.TLSSocket.getPeerCertificate()` shows it. */
  readonly serialNumber: string;
}

export interface Authority extends Certificate {
  /** A certificate of this authority for one DNS name; valid for a day around now unless told. */
  issue(options: { readonly host: string; readonly from?: Date; readonly to?: Date }): Certificate;
}

const dayMs = 86_400_000;

/** A certificate authority of one's own, on P-256. */
export function newAuthority(name = 'novax test authority'): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const own = build({
    subject: name,
    issuer: name,
    publicKey: keys.publicKey,
    signer: keys.privateKey,
    from: new Date(Date.now() - dayMs),
    to: new Date(Date.now() + dayMs),
    extension: extension('551d13', sequence(Buffer.from('0101ff', 'hex'))),
  });
  return {
    ...own,
    key: pem('PRIVATE KEY', keys.privateKey.export({ type: 'pkcs8', format: 'der' })),
    issue({ host, from = new Date(Date.now() - dayMs), to = new Date(Date.now() + dayMs) }) {
      const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const made = build({
        subject: host,
        issuer: name,
        publicKey: leaf.publicKey,
        signer: keys.privateKey,
        from,
        to,
        extension: extension('551d11', sequence(der(0x82, Buffer.from(host)))),
      });
      return { ...made, key: pem('PRIVATE KEY', leaf.privateKey.export({ type: 'pkcs8', format: 'der' })) };
    },
  };
}

function build(parts: {
  subject: string;
  issuer: string;
  publicKey: KeyObject;
  signer: KeyObject;
  from: Date;
  to: Date;
  extension: Buffer;
}): { cert: string; serialNumber: string } {
  // Positive, and without a leading zero.
  const serial = Buffer.concat([Buffer.from([0x4d]), randomBytes(15)]);
  const algorithm = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name(parts.issuer),
    sequence(time(parts.from), time(parts.to)),
    name(parts.subject),
    parts.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(parts.extension)),
  );
  const signature = sign('sha256', body, parts.signer);
  const whole = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return { cert: pem('CERTIFICATE', whole), serialNumber: serial.toString('hex').toUpperCase() };
}

/** Tag, length, content. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, Math.floor(length / 256), length % 256];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...items: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(items));
}

/** A name that consists of a common name. */
function name(text: string): Buffer {
  return sequence(der(0x31, sequence(der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from(text)))));
}

function time(at: Date): Buffer {
  return der(0x18, Buffer.from(`${at.toISOString().replaceAll(/[-:T]|\.\d+Z/g, '')}Z`));
}

function extension(oid: string, value: Buffer): Buffer {
  return sequence(der(0x06, Buffer.from(oid, 'hex')), der(0x04, value));
}

function pem(label: string, bytes: Buffer): string {
  return `-----BEGIN ${label}-----\n${bytes.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`;
}
