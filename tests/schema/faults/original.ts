/**
 * The specification's own statements, as its chapters on tables, partitions, security and AI views give them, to show
 * what each of them does.
 */
import { connect, testDatabase, type TestDatabase } from '../../kit/database.ts';

export const TABLES = `
  create table users (id uuid primary key default gen_random_uuid(), email varchar(255) unique not null, username varchar(100) unique not null,
    password_hash varchar(255) not null, profile_metadata jsonb, status varchar(20) default 'active', created_at timestamptz default now(), updated_at timestamptz);
  create table organizations (id uuid primary key default gen_random_uuid(), name varchar(255) not null, slug varchar(100) unique, settings jsonb,
    owner_id uuid references users (id), created_at timestamptz default now());
  create table org_members (id uuid primary key default gen_random_uuid(), org_id uuid references organizations (id), user_id uuid references users (id),
    role varchar(20), joined_at timestamptz default now(), unique (org_id, user_id));
  create table projects (id uuid primary key default gen_random_uuid(), org_id uuid references organizations (id), name varchar(255) not null,
    description text, ai_context jsonb, status varchar(20) default 'active', created_at timestamptz default now(), updated_at timestamptz);
  create table documents (id uuid primary key default gen_random_uuid(), project_id uuid references projects (id), author_id uuid references users (id),
    title varchar(500) not null, content text, ai_summary jsonb, search_vector tsvector, version int default 1, created_at timestamptz default now(), updated_at timestamptz);
  create table ai_embeddings (id uuid primary key default gen_random_uuid(), source_id uuid not null, source_type varchar(50) not null,
    embedding vector(1536), metadata jsonb, created_at timestamptz default now());
  create table tasks (id uuid primary key default gen_random_uuid(), project_id uuid references projects (id), assignee_id uuid references users (id),
    creator_id uuid references users (id), title varchar(500) not null, description text, priority varchar(20), status varchar(20), ai_metadata jsonb,
    due_date timestamptz, created_at timestamptz default now(), updated_at timestamptz)`;

export const DOCUMENT_STATUS_INDEX =
  'create index idx_documents_project_status_created on documents (project_id, status, created_at)';

export const AUDIT_LOG = `
  create table audit_log (id bigint generated always as identity, actor_id uuid not null, action varchar(50) not null, entity_type varchar(100) not null,
    entity_id uuid not null, old_value jsonb, new_value jsonb, ip_address inet, created_at timestamptz not null default now()) partition by range (created_at);
  create table audit_log_2026_01 partition of audit_log for values from ('2026-01-01') to ('2026-02-01');
  create table audit_log_2026_02 partition of audit_log for values from ('2026-02-01') to ('2026-03-01')`;

export const AUDIT_LOG_KEY = 'alter table audit_log add primary key (id)';

export const EVENTS = `
  create table events (id bigint generated always as identity, event_type varchar(255) not null, aggregate_id uuid, aggregate_type varchar(100),
    payload jsonb not null, status varchar(20) default 'pending', created_at timestamptz default now()) partition by list (status);
  create table events_pending partition of events for values in ('pending');
  create table events_published partition of events for values in ('published');
  create table events_failed partition of events for values in ('failed')`;

export const EVENTS_KEY = 'alter table events add primary key (id)';

export const ORG_ISOLATION = `
  alter table documents enable row level security;
  create policy org_isolation on documents using (project_id in (
    select p.id from projects p join org_members om on p.org_id = om.org_id where om.user_id = current_setting('app.current_user_id')::uuid))`;

export const DOCUMENT_CONTEXT_VIEW = `
  create materialized view mv_ai_document_context as
  select d.id, d.title, d.content, d.ai_summary, d.search_vector, e.embedding, p.name as project_name, p.ai_context as project_context,
         o.name as org_name, u.username as author, d.created_at, d.updated_at
    from documents d join projects p on d.project_id = p.id join organizations o on p.org_id = o.id join users u on d.author_id = u.id
    left join ai_embeddings e on e.source_id = d.id and e.source_type = 'document'
   where d.status != 'deleted'`;

export const AI_GRANTS = `
  grant select on mv_ai_document_context to ai_agent_role;
  grant insert on ai_embeddings to ai_agent_role`;

export const AI_COLUMN_GRANT = 'grant update (ai_summary, ai_metadata) on documents to ai_agent_role';

/** The missing column, added where a later statement of the specification could otherwise not even be made. */
export const MEND_DOCUMENT_STATUS = "alter table documents add column status varchar(20) not null default 'active'";

/** People and rows of the two organizations that every fault is shown on. */
export const ANNA = '018f0000-0000-7000-8000-00000000000a';
export const BEN = '018f0000-0000-7000-8000-00000000000b';
/** Reads in the first organization, may not write. */
export const VERA = '018f0000-0000-7000-8000-00000000000c';
export const ORG_A = '018f0000-0000-7000-8000-0000000000a1';
export const ORG_B = '018f0000-0000-7000-8000-0000000000b1';
export const PROJECT_A = '018f0000-0000-7000-8000-0000000000a2';
export const PROJECT_B = '018f0000-0000-7000-8000-0000000000b2';
export const DOCUMENT_A = '018f0000-0000-7000-8000-0000000000a3';
export const DOCUMENT_B = '018f0000-0000-7000-8000-0000000000b3';

const ORIGINAL_ROWS = `
  insert into users (id, email, username, password_hash) values
    ('${ANNA}', 'anna@example.com', 'anna', 'x'), ('${BEN}', 'ben@example.com', 'ben', 'x'), ('${VERA}', 'vera@example.com', 'vera', 'x');
  insert into organizations (id, name, slug, owner_id) values ('${ORG_A}', 'Alpha', 'alpha', '${ANNA}'), ('${ORG_B}', 'Beta', 'beta', '${BEN}');
  insert into org_members (org_id, user_id, role) values ('${ORG_A}', '${ANNA}', 'owner'), ('${ORG_A}', '${VERA}', 'viewer'), ('${ORG_B}', '${BEN}', 'owner');
  insert into projects (id, org_id, name) values ('${PROJECT_A}', '${ORG_A}', 'Apples'), ('${PROJECT_B}', '${ORG_B}', 'Berries');
  insert into documents (id, project_id, author_id, title, content) values
    ('${DOCUMENT_A}', '${PROJECT_A}', '${ANNA}', 'Apple', 'round'), ('${DOCUMENT_B}', '${PROJECT_B}', '${BEN}', 'Berry', 'small')`;

const OUR_ROWS = `
  begin;
  insert into users (id, email, email_normalized, username, username_normalized, password_hash) values
    ('${ANNA}', 'anna@example.com', 'anna@example.com', 'anna', 'anna', 'x'), ('${BEN}', 'ben@example.com', 'ben@example.com', 'ben', 'ben', 'x'),
    ('${VERA}', 'vera@example.com', 'vera@example.com', 'vera', 'vera', 'x');
  insert into organizations (id, name, slug, owner_id) values ('${ORG_A}', 'Alpha', 'alpha', '${ANNA}'), ('${ORG_B}', 'Beta', 'beta', '${BEN}');
  insert into org_members (org_id, user_id, role) values ('${ORG_A}', '${ANNA}', 'owner'), ('${ORG_A}', '${VERA}', 'viewer'), ('${ORG_B}', '${BEN}', 'owner');
  insert into projects (id, org_id, name) values ('${PROJECT_A}', '${ORG_A}', 'Apples'), ('${PROJECT_B}', '${ORG_B}', 'Berries');
  insert into documents (id, org_id, project_id, author_id, title, content) values
    ('${DOCUMENT_A}', '${ORG_A}', '${PROJECT_A}', '${ANNA}', 'Apple', 'round'), ('${DOCUMENT_B}', '${ORG_B}', '${PROJECT_B}', '${BEN}', 'Berry', 'small');
  commit`;

/** A database with the specification's tables and the rows of two organizations, and a role that owns nothing there. */
export async function originalDatabase(...statements: string[]): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  await run(db.adminUrl, `grant usage on schema public to public; ${TABLES}; ${ORIGINAL_ROWS}`);
  for (const statement of statements) await run(db.adminUrl, statement);
  return db;
}

/** A migrated database with the same rows. */
export async function ourDatabase(): Promise<TestDatabase> {
  const db = await testDatabase();
  await run(db.adminUrl, OUR_ROWS);
  return db;
}

/** Runs `sql` on a connection of its own; the rows of its last statement. */
export async function run(url: string, sql: string): Promise<Record<string, unknown>[]> {
  await using client = await connect(url);
  const result: unknown = await client.query(sql);
  const last: unknown = Array.isArray(result) ? result.at(-1) : result;
  // pg answers one result per statement of a simple query, an array where there are several; each has its rows.
  return (last as { rows: Record<string, unknown>[] }).rows;
}

/** Prefixes `sql` with the transaction settings that say who asks. */
export function asking(who: { user?: string; org?: string }, sql: string): string {
  return `begin; select set_config('app.current_user_id', '${who.user ?? ''}', true), set_config('app.current_org_id', '${who.org ?? ''}', true); ${sql}`;
}
