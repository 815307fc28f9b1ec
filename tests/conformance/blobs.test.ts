/** The blob store port: the fake, files, S3 on a stub, and S3 on a real server where `NOVAX_TEST_S3_ENDPOINT` names one. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createAnchorStore, createBlobStore } from '@novax/adapters/blobs';
import { fsBlobStore } from '@novax/adapters/blobs-fs';
import { s3BlobStore } from '@novax/adapters/blobs-s3';
import { fakeBlobStore } from '@novax/adapters/fakes/blobs';
import type { BlobStore } from '@novax/domain/ports';
import { describe, expect, test } from 'vitest';
import { s3Stub } from './s3-stub.ts';
import { stubServer } from './stub-server.ts';
import { uniqueName } from './unique.ts';

const realS3 = process.env['NOVAX_TEST_S3_ENDPOINT'];
if (!realS3) process.stderr.write('SKIPPED: blob conformance on a real S3 server; NOVAX_TEST_S3_ENDPOINT names none\n');

async function folderOfOne(): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'novax-blobs-'));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

const credentials = { region: 'us-east-1', accessKeyId: 'test', secretAccessKey: 'secret' };

const kinds: Record<string, () => Promise<{ store: BlobStore } & AsyncDisposable>> = {
  'fake': async () => ({ store: fakeBlobStore(), [Symbol.asyncDispose]: async () => undefined }),
  'files': async () => {
    const at = await folderOfOne();
    return {
      store: fsBlobStore({ folder: join(at.folder, 'made') }),
      [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
    };
  },
  'S3 stub': async () => {
    const stub = await s3Stub('bucket');
    return {
      store: s3BlobStore({ ...credentials, endpoint: stub.url, bucket: 'bucket' }),
      [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose](),
    };
  },
  'S3': async () => {
    const env = process.env;
    const store = s3BlobStore({
      endpoint: realS3 ?? '',
      region: env['NOVAX_TEST_S3_REGION'] ?? 'us-east-1',
      bucket: env['NOVAX_TEST_S3_BUCKET'] ?? 'novax-test',
      accessKeyId: env['NOVAX_TEST_S3_ACCESS_KEY_ID'] ?? 'test',
      secretAccessKey: env['NOVAX_TEST_S3_SECRET_ACCESS_KEY'] ?? 'test',
    });
    return { store, [Symbol.asyncDispose]: async () => undefined };
  },
};

async function keysUnder(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  return keys.toSorted();
}

const type = 'application/octet-stream';

for (const [kind, make] of Object.entries(kinds)) {
  describe.skipIf(kind === 'S3' && !realS3)(`blob store: ${kind}`, () => {
    test.each([
      ['bytes', (bytes: Buffer) => bytes],
      ['a stream', (bytes: Buffer) => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)])],
    ])('%s come back byte for byte, and a second put replaces the first', async (_, form) => {
      await using at = await make();
      const key = `${uniqueName()}/files/a.bin`;
      for (const size of [100_000, 5, 0]) {
        const bytes = randomBytes(size);
        await at.store.put(key, form(bytes), type);
        expect((await buffer(await at.store.get(key))).equals(bytes)).toBe(true);
      }
      expect(await at.store.exists(key)).toBe(true);
    });

    test('an absent key is NOT_FOUND, does not exist, and can be removed', async () => {
      await using at = await make();
      const org = uniqueName();
      await at.store.put(`${org}/files/there`, Buffer.from('x'), type);
      for (const key of [`${org}/absent`, `${org}/files`, `${org}/files/there/below`]) {
        await expect(at.store.get(key)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        expect(await at.store.exists(key)).toBe(false);
        await at.store.remove(key);
      }
      expect(await at.store.exists(`${org}/files/there`)).toBe(true);
    });

    test('a removed blob is gone and its neighbours stay', async () => {
      await using at = await make();
      const org = uniqueName();
      await at.store.put(`${org}/a`, Buffer.from('a'), type);
      await at.store.put(`${org}/b`, Buffer.from('b'), type);
      await at.store.remove(`${org}/a`);
      expect(await keysUnder(at.store, `${org}/`)).toEqual([`${org}/b`]);
    });

    test('listing gives every key under a prefix, page after page, and no other', async () => {
      await using at = await make();
      const org = uniqueName();
      const keys = [`${org}/a/1`, `${org}/a/2`, `${org}/a/b/3`, `${org}/ab`, `${org}/c`];
      for (const key of [...keys, `${org}x/other`]) await at.store.put(key, Buffer.from(key), type);
      expect(await keysUnder(at.store, `${org}/`)).toEqual(keys);
      expect(await keysUnder(at.store, `${org}/a`)).toEqual(keys.slice(0, 4));
      expect(await keysUnder(at.store, `${org}/a/`)).toEqual(keys.slice(0, 3));
      expect(await keysUnder(at.store, `${uniqueName()}/`)).toEqual([]);
    });

    test.each([
      '',
      '/etc/passwd',
      '../x',
      'a/../../x',
      'a//b',
      'a/./b',
      'a/',
      '.hidden',
      'a\0b',
      'a\\..\\b',
      'a%2e%2e/b',
      `a/${'x'.repeat(1024)}`,
      'a\nb',
    ])('the key %j is refused by every method', async (key) => {
      await using at = await make();
      const refused = { code: 'VALIDATION_FAILED' };
      await expect(at.store.put(key, Buffer.from('x'), type)).rejects.toMatchObject(refused);
      await expect(at.store.get(key)).rejects.toMatchObject(refused);
      await expect(at.store.exists(key)).rejects.toMatchObject(refused);
      await expect(at.store.remove(key)).rejects.toMatchObject(refused);
    });

    test('a prefix cannot leave the store', async () => {
      await using at = await make();
      for (const prefix of ['../', '/', 'a/../../'])
        await expect(keysUnder(at.store, prefix)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
    });

    test('a stream that breaks leaves the former blob as it was', async () => {
      await using at = await make();
      const key = `${uniqueName()}/file`;
      await at.store.put(key, Buffer.from('whole'), type);
      const broken = Readable.from(
        (function* () {
          yield Buffer.from('half');
          throw new Error('lost');
        })(),
      );
      await expect(at.store.put(key, broken, type)).rejects.toThrow('lost');
      expect(String(await buffer(await at.store.get(key)))).toBe('whole');
    });

    test('a held blob comes back like any other, and the store says whether it promised to hold it', async () => {
      await using at = await make();
      const key = `${uniqueName()}/held`;
      const held = await at.store.putHeld(key, Buffer.from('kept'), {
        contentType: type,
        until: new Date('2199-01-01'),
      });
      // A bucket may or may not lock.
      if (kind !== 'S3') expect(held).toBe(kind === 'S3 stub');
      expect(String(await buffer(await at.store.get(key)))).toBe('kept');
    });

    test('the store answers pings', async () => {
      await using at = await make();
      await at.store.ping();
    });
  });
}

describe('blob store: files alone', () => {
  test('a broken upload leaves no file behind', async () => {
    await using at = await folderOfOne();
    const broken = new Readable({ read: () => void broken.destroy(new Error('lost')) });
    await expect(fsBlobStore({ folder: at.folder }).put('a/b', broken, type)).rejects.toThrow('lost');
    const files = await readdir(at.folder, { recursive: true, withFileTypes: true });
    expect(files.filter((file) => file.isFile())).toEqual([]);
  });

  test('a symbolic link is never listed', async () => {
    await using at = await folderOfOne();
    const store = fsBlobStore({ folder: at.folder });
    await store.put('org/a', Buffer.from('x'), type);
    await symlink('/etc', join(at.folder, 'org', 'etc'));
    expect(await keysUnder(store, '')).toEqual(['org/a']);
  });

  test('a key below another blob is a CONFLICT', async () => {
    await using at = await folderOfOne();
    const store = fsBlobStore({ folder: at.folder });
    await store.put('org/a', Buffer.from('x'), type);
    await expect(store.put('org/a/b', Buffer.from('x'), type)).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

describe('blob store: S3 away', () => {
  test.each([
    ['not there', 'http://127.0.0.1:9'],
    ['failing', null],
  ])('a server that is %s is DEPENDENCY_UNAVAILABLE', async (_, endpoint) => {
    await using stub = await stubServer(() => ({ status: 500, body: '<Error><Code>InternalError</Code></Error>' }));
    const store = s3BlobStore({ ...credentials, endpoint: endpoint ?? stub.url, bucket: 'b' });
    for (const call of [
      () => store.put('a', Buffer.from('x'), type),
      () => store.get('a'),
      () => store.exists('a'),
      () => store.ping(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    }
  });

  test('uploads carry no checksum header that other servers than Amazon would refuse', async () => {
    await using stub = await s3Stub('b');
    await s3BlobStore({ ...credentials, endpoint: stub.url, bucket: 'b' }).put('a', Buffer.from('x'), 'text/plain');
    const [put] = stub.requests;
    expect(put?.headers['content-type']).toBe('text/plain');
    expect(
      Object.keys(put?.headers ?? {}).filter(
        (name) => name.startsWith('x-amz-checksum') || name === 'x-amz-sdk-checksum-algorithm',
      ),
    ).toEqual([]);
  });

  test('a held upload asks for an object lock nobody can shorten, with the checksum that S3 wants for it', async () => {
    await using stub = await s3Stub('b');
    const until = new Date('2031-02-03T04:05:06.000Z');
    const store = s3BlobStore({ ...credentials, endpoint: stub.url, bucket: 'b' });
    expect(await store.putHeld('a', Buffer.from('x'), { contentType: 'text/plain', until })).toBe(true);
    const headers = stub.requests[0]?.headers;
    expect(headers?.['x-amz-object-lock-mode']).toBe('COMPLIANCE');
    expect(headers?.['x-amz-object-lock-retain-until-date']).toMatch(/^2031-02-03T04:05:06/);
    expect(headers?.['x-amz-checksum-sha256']).toBe('LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=');
  });

  test('a bucket without object lock takes the upload without one, and the answer says so; any other refusal is an error', async () => {
    const refusing = (code: string, message: string) =>
      stubServer((request) =>
        request.headers['x-amz-object-lock-mode'] === undefined
          ? { headers: { etag: '"x"' } }
          : {
              status: 400,
              body: `<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
              headers: { 'content-type': 'application/xml' },
            },
      );
    const held = { contentType: type, until: new Date('2031-02-03') };
    await using plain = await refusing('InvalidRequest', 'Bucket is missing Object Lock Configuration');
    const store = s3BlobStore({ ...credentials, endpoint: plain.url, bucket: 'b' });
    expect(await store.putHeld('a', Buffer.from('x'), held)).toBe(false);
    expect(plain.requests).toHaveLength(2);
    await using denied = await refusing('AccessDenied', 'no');
    await expect(
      s3BlobStore({ ...credentials, endpoint: denied.url, bucket: 'b' }).putHeld('a', Buffer.from('x'), held),
    ).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    expect(denied.requests).toHaveLength(1);
  });

  test('anchors go beside the backups where those have a place of their own, else with the stored files, else nowhere', async () => {
    await using at = await folderOfOne();
    const [shared, own] = [join(at.folder, 'shared'), join(at.folder, 'own')];
    const put = async (env: Parameters<typeof createAnchorStore>[0]) =>
      createAnchorStore(env)?.put('a/b', Buffer.from('x'), type);
    await put({ STORAGE_DIR: shared });
    expect(await readdir(shared)).toContain('a');
    await put({ STORAGE_DRIVER: 's3', STORAGE_DIR: shared, BACKUP_STORAGE_DRIVER: 'fs', BACKUP_STORAGE_DIR: own });
    expect(await readdir(own)).toContain('a');
    expect(createAnchorStore({})).toBeNull();
    expect(() => createAnchorStore({ BACKUP_STORAGE_DRIVER: 's3' })).toThrow('S3_ENDPOINT');
    expect(() => createAnchorStore({ STORAGE_DRIVER: 'tape' })).toThrow('no storage driver');
  });

  test('the settings choose the store, and say all that is missing', () => {
    expect(() => createBlobStore({ STORAGE_DRIVER: 'fs' })).toThrow('STORAGE_DIR');
    expect(() => createBlobStore({ STORAGE_DRIVER: 's3', S3_BUCKET: 'b' })).toThrow(
      'S3_ENDPOINT, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY',
    );
    expect(createBlobStore({ STORAGE_DRIVER: 'fs', STORAGE_DIR: '/tmp' })).toBeDefined();
  });
});
