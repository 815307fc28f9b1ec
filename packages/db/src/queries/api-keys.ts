/** API keys: those of an organization, for its admins, and the one behind a secret, before anybody is known. */
import type { Action } from '@novax/contracts/permissions';
import { statement } from '../statement.ts';
import { instant } from './instant.ts';

interface ApiKeyRow {
  readonly id: string;
  readonly org_id: string;
  readonly creator_id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: string[];
  readonly status: 'active' | 'revoked';
  readonly expires_at: string | Date | null;
  readonly last_used_at: string | Date | null;
  readonly created_at: string | Date;
}

const columns =
  'id, org_id, creator_id, name, prefix, array_to_json(scopes) as scopes, status, expires_at, last_used_at, created_at';

/** Values: id, organization, maker, name, prefix, hash of the key, scopes, end. */
export const insertApiKey = statement<ApiKeyRow>(
  'insert_api_key',
  `insert into api_keys (id, org_id, creator_id, name, prefix, key_hash, scopes, expires_at)
   values ($1::uuid, $2::uuid, $3::uuid, $4, $5, $6::bytea, $7::varchar[], $8::timestamptz) returning ${columns}`,
);

/** No row when it was revoked before. Values: organization, id. */
export const revokeApiKey = statement<{ id: string; name: string; prefix: string }>(
  'revoke_api_key',
  `update api_keys set status = 'revoked', revoked_at = now()
    where org_id = $1::uuid and id = $2::uuid and status = 'active' returning id, name, prefix`,
);

/** What a live key may pass on; held, so that it cannot be revoked meanwhile. Values: organization, id. */
export const holdApiKey = statement<{ scopes: Action[]; expires_at: string | Date | null }>(
  'hold_api_key',
  `select array_to_json(scopes) as scopes, expires_at from api_keys
    where org_id = $1::uuid and id = $2::uuid and status = 'active' and (expires_at is null or expires_at > now())
      for share`,
);

/** Newest first. Values: organization, cursor's created_at and id, rows at most. */
export const listApiKeys = statement<ApiKeyRow & { readonly cursor_at: string }>(
  'list_api_keys',
  `select ${columns}, created_at::text as cursor_at from api_keys
    where org_id = $1::uuid and (created_at, id) < ($2::timestamptz, $3::uuid)
    order by created_at desc, id desc limit $4`,
);

/** Only while its maker is a member of its active organization. Values: hash of the key. */
export const apiKeyByHash = statement<{
  api_key_id: string;
  org_id: string;
  user_id: string;
  user_status: string;
  scopes: string[];
  status: string;
  expires_at: string | Date | null;
}>(
  'api_key_by_hash',
  `select api_key_id, org_id, user_id, user_status, array_to_json(scopes) as scopes, status, expires_at
     from private.api_key_by_hash($1::bytea)`,
);

/** Notes that one of the current person's keys was used; writes once a minute at most. Values: id. */
export const touchApiKey = statement<Record<string, never>>('touch_api_key', 'select private.touch_api_key($1::uuid)');

/** The row as the contract shows it. */
export function apiKeyView(row: ApiKeyRow) {
  return {
    id: row.id,
    organizationId: row.org_id,
    creatorId: row.creator_id,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    status: row.status,
    expiresAt: row.expires_at === null ? null : instant(row.expires_at),
    lastUsedAt: row.last_used_at === null ? null : instant(row.last_used_at),
    createdAt: instant(row.created_at),
  };
}
