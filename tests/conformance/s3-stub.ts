/** The few operations of S3 that the adapter uses, over HTTP, two keys to a page. Signatures are not checked. */
import { type StubAnswer, type StubServer, stubServer } from './stub-server.ts';

const pageSize = 2;

/** A stub with one bucket. */
export async function s3Stub(bucket: string): Promise<StubServer> {
  const blobs = new Map<string, Buffer>();
  return stubServer((request): StubAnswer => {
    const [, found, ...rest] = decodeURIComponent(request.path).split('/');
    const key = rest.join('/');
    if (found !== bucket) return error(404, 'NoSuchBucket');
    if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=')) return error(403, 'AccessDenied');
    if (key === '') return request.method === 'HEAD' ? {} : page(request.query);
    const blob = blobs.get(key);
    switch (request.method) {
      case 'PUT':
        if (request.headers['content-length'] === undefined) return error(411, 'MissingContentLength');
        blobs.set(key, request.body);
        return { headers: { etag: '"x"' } };
      case 'DELETE':
        blobs.delete(key);
        return { status: 204 };
      case 'GET':
        return blob ? { body: blob, headers: { 'content-length': `${blob.length}` } } : error(404, 'NoSuchKey');
      case 'HEAD':
        return blob ? { headers: { 'content-length': `${blob.length}` } } : { status: 404 };
      default:
        return error(405, 'MethodNotAllowed');
    }
  });

  function page(query: URLSearchParams): StubAnswer {
    const after = query.get('continuation-token') ?? '';
    const keys = [...blobs.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after).toSorted();
    const shown = keys.slice(0, pageSize);
    const more = keys.length > shown.length;
    const contents = shown.map((key) => `<Contents><Key>${key}</Key></Contents>`).join('');
    const token = more ? `<NextContinuationToken>${shown.at(-1)}</NextContinuationToken>` : '';
    const body = `<ListBucketResult><IsTruncated>${more}</IsTruncated>${token}${contents}</ListBucketResult>`;
    return { body, headers: { 'content-type': 'application/xml' } };
  }

  function error(status: number, code: string): StubAnswer {
    return {
      status,
      body: `<Error><Code>${code}</Code><Message>${code}</Message></Error>`,
      headers: { 'content-type': 'application/xml' },
    };
  }
}
