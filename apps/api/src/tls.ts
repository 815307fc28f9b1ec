/** TLS where this process ends it itself: version 1.3 alone, and a pair of certificate and key that may be replaced while it serves. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Logger } from '@novax/runtime/log';
import type { ApiEnv } from './env.ts';
import { watchFiles, type WatchedFiles } from './watched-files.ts';

/** A certificate chain and its private key, in PEM. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** What a server is made with, or given anew. Throws when certificate and key cannot be read or do not belong together. */
export function tlsOptions({ cert, key }: TlsPair): SecureContextOptions {
  // Checked here: a context takes an empty certificate or key for none, and every handshake fails.
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    throw new Error('the private key is not that of the certificate');
  const options: SecureContextOptions = { cert, key, minVersion: 'TLSv1.3' };
  createSecureContext(options);
  return options;
}

/** The pair that the settings name; undefined when they name none. Throws when a file cannot be read. */
export async function readTlsPair(env: Pick<ApiEnv, 'TLS_CERT_FILE' | 'TLS_KEY_FILE'>): Promise<TlsPair | undefined> {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = env;
  if (certFile === undefined || keyFile === undefined) return undefined;
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
  return { cert: cert.trim(), key: key.trim() };
}

/** Exchanges the pair when its files are exchanged; connections that stand go on, and a pair that does not fit is refused. */
export function watchTlsPair(
  server: Server,
  pair: TlsPair,
  { env, log }: { readonly env: ApiEnv; readonly log: Logger },
): WatchedFiles {
  return watchFiles({
    what: 'TLS certificate',
    paths: [env.TLS_CERT_FILE ?? '', env.TLS_KEY_FILE ?? ''],
    contents: [pair.cert, pair.key],
    everyMs: env.FILES_RELOAD_MS,
    apply: ([cert = '', key = '']) => server.setSecureContext(tlsOptions({ cert, key })),
    log,
  });
}
