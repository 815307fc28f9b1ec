/** The world of the oracle: its tables, rows and actors, and what each role was granted on them. */

export const TABLES = [
  'users',
  'organizations',
  'org_members',
  'projects',
  'documents',
  'tasks',
  'comments',
  'invitations',
  'api_keys',
  'audit_log',
  'events',
  'ai_embeddings',
] as const;
export type TableName = (typeof TABLES)[number];

/** Columns the model knows, by name; null is null. */
export type Row = Readonly<Record<string, string | null>>;
export type State = Readonly<Record<TableName, Map<string, Row>>>;

export const ACTOR_ROLES = ['novax_api', 'novax_worker', 'novax_readonly', 'novax_ai'] as const;
export interface Actor {
  readonly role: (typeof ACTOR_ROLES)[number];
  /** `app.current_user_id`. */
  readonly user: string | null;
  /** `app.current_org_id`. */
  readonly org: string | null;
}

interface Shape {
  /** The column that names a row here; unique in the model, also where the table has another key. */
  readonly key: string;
  readonly columns: readonly string[];
  /** A column that no role may read. */
  readonly secret?: string;
  /** Columns that the database needs and the model does not look at, as SQL. */
  readonly filler: Readonly<Record<string, string>>;
  /** Columns that operations change freely: nothing depends on their value. */
  readonly label: string;
}

const hash = 'sha256(gen_random_uuid()::text::bytea)';
export const SHAPES: Readonly<Record<TableName, Shape>> = {
  users: {
    key: 'id',
    columns: ['id', 'username', 'status'],
    secret: 'password_hash',
    filler: {
      email: `'a@b'`,
      email_normalized: 'gen_random_uuid()::text',
      username_normalized: 'gen_random_uuid()::text',
      password_hash: `'x'`,
    },
    label: 'username',
  },
  organizations: {
    key: 'id',
    columns: ['id', 'owner_id', 'status', 'name'],
    filler: { slug: 'gen_random_uuid()::text' },
    label: 'name',
  },
  org_members: { key: 'id', columns: ['id', 'org_id', 'user_id', 'role'], filler: {}, label: 'role' },
  projects: { key: 'id', columns: ['id', 'org_id', 'name', 'status'], filler: {}, label: 'name' },
  documents: { key: 'id', columns: ['id', 'org_id', 'project_id', 'author_id', 'title'], filler: {}, label: 'title' },
  tasks: { key: 'id', columns: ['id', 'org_id', 'project_id', 'creator_id', 'title'], filler: {}, label: 'title' },
  comments: { key: 'id', columns: ['id', 'org_id', 'document_id', 'author_id', 'body'], filler: {}, label: 'body' },
  invitations: {
    key: 'id',
    columns: ['id', 'org_id', 'inviter_id', 'status'],
    secret: 'token_hash',
    filler: { email: `'a@b'`, email_normalized: 'gen_random_uuid()::text', token_hash: hash, expires_at: 'now()' },
    label: 'status',
  },
  api_keys: {
    key: 'id',
    columns: ['id', 'org_id', 'creator_id', 'name'],
    secret: 'key_hash',
    filler: { prefix: `'p'`, key_hash: hash },
    label: 'name',
  },
  audit_log: {
    key: 'entity_id',
    columns: ['entity_id', 'org_id', 'actor_type', 'actor_id'],
    filler: { action: `'update'`, entity_type: `'documents'` },
    label: 'request_id',
  },
  events: {
    key: 'event_id',
    columns: ['event_id', 'org_id', 'actor_type', 'actor_id'],
    filler: { event_type: `'test.made'`, aggregate_type: `'test'`, aggregate_id: 'gen_random_uuid()', payload: `'{}'` },
    label: 'last_error',
  },
  ai_embeddings: {
    key: 'id',
    columns: ['id', 'org_id', 'document_id'],
    filler: {
      model_id: '99',
      dims: '8',
      chunk_no: `(random() * 1000000000)::int`,
      char_from: '0',
      char_to: '1',
      content_hash: hash,
      embedding: `('[1' || repeat(',0', 1535) || ']')::vector`,
    },
    label: 'metadata',
  },
};

/** What a role was granted on a table: `all` columns, all `but` the secret, or those named. */
export interface Grant {
  readonly select?: 'all' | 'but' | readonly string[];
  readonly insert?: boolean;
  readonly update?: readonly string[];
  readonly delete?: boolean;
}
type Grants = Readonly<Partial<Record<TableName, Grant>>>;

const all = { select: 'all' } as const;
export const GRANTS: Readonly<Record<Actor['role'], Grants>> = {
  novax_api: {
    users: { select: 'but', update: ['username'] },
    organizations: { ...all, update: ['name', 'owner_id', 'status'] },
    org_members: { ...all, insert: true, update: ['role'], delete: true },
    projects: { ...all, insert: true, update: ['name', 'status'] },
    documents: { ...all, insert: true, update: ['title', 'project_id'] },
    tasks: { ...all, insert: true, update: ['title'], delete: true },
    comments: { ...all, insert: true, update: ['body'], delete: true },
    invitations: { select: 'but', insert: true, update: ['status'] },
    api_keys: { select: 'but', insert: true, update: ['name', 'status'] },
    audit_log: { ...all, insert: true },
    events: { insert: true },
    ai_embeddings: all,
  },
  novax_worker: {
    users: { select: 'but' },
    organizations: all,
    org_members: all,
    projects: { ...all, delete: true },
    documents: { ...all, update: ['ai_metadata'], delete: true },
    tasks: { ...all, update: ['ai_metadata'], delete: true },
    comments: { ...all, delete: true },
    invitations: { select: 'but', update: ['status'] },
    audit_log: { ...all, insert: true },
    events: { ...all, insert: true, update: ['last_error'], delete: true },
    ai_embeddings: { ...all, insert: true, delete: true },
  },
  novax_readonly: {
    users: { select: 'but' },
    organizations: all,
    org_members: all,
    projects: all,
    documents: all,
    tasks: all,
    comments: all,
    api_keys: { select: 'but' },
    audit_log: all,
    events: all,
    ai_embeddings: all,
  },
  novax_ai: {
    documents: { select: ['id', 'org_id', 'project_id', 'title'], update: ['ai_metadata'] },
    tasks: { select: ['id', 'org_id', 'project_id', 'title'], update: ['ai_metadata'] },
    ai_embeddings: { ...all, insert: true },
  },
};

/** Every privilege on everything, so that policies alone stand in the way. */
export const EVERYTHING: Grant = { select: 'all', insert: true, delete: true };
