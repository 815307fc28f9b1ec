/** Statements that remove for good: what expired, and what was deleted longer ago than its organization keeps it. */
import { type Statement, statement } from '../statement.ts';

const expiring = (table: string): Statement<{ rows: number }> =>
  statement(`sweep_${table}`, `select private.sweep('${table}', $1::int) as rows`);

/** Failures that were dealt with are kept as long as ended sessions are, for whoever looks into an incident. */
const ended = (table: string, where: string): Statement<{ rows: number }> =>
  statement(
    `sweep_${table}`,
    `with swept as (delete from ${table} where ${where} and id in (
       select id from ${table} where ${where} limit $1::int for update skip locked) returning 1)
     select count(*)::int as rows from swept`,
  );
const endedBefore = `now() - interval '30 days'`;

/** By table, what removes rows that expired by themselves. Values: rows at most; answers how many were swept. */
export const sweepRows = {
  sessions: expiring('sessions'),
  refresh_tokens: expiring('refresh_tokens'),
  one_time_tokens: expiring('one_time_tokens'),
  oauth_flows: expiring('oauth_flows'),
  idempotency_keys: expiring('idempotency_keys'),
  invitations: expiring('invitations'),
  // By when they were made as well, as the index is.
  dead_letters: ended(
    'dead_letters',
    `status in ('replayed', 'dropped') and created_at < ${endedBefore} and resolved_at < ${endedBefore}`,
  ),
  // What was dropped was never published, so it goes with no month of the published ones.
  events: ended('events', `status = 'dropped' and created_at < ${endedBefore}`),
} as const;
export type SweptTable = keyof typeof sweepRows;
// The keys of the object above, in its order.
export const sweptTables = Object.keys(sweepRows) as readonly SweptTable[];

/** Those in which something waits for its purge. Values: the last organization of the page before, organizations at most. */
export const organizationsWithDeleted = statement<{ org_id: string }>(
  'organizations_with_deleted',
  'select org_id from private.organizations_with_deleted($1::uuid, $2::int)',
);

/** Days that what is deleted is kept where an organization says nothing else. */
const retainDays = 30;

/** True of a row deleted longer ago than the policy of its kind says. */
function due(alias: string, kind: 'organizations' | 'documents' | 'projects' | 'comments' | 'attachments'): string {
  return `${alias}.status = 'deleted' and ${alias}.updated_at < now() - make_interval(days => coalesce(
    (select r.retain_days from retention_policies r where r.org_id = $1::uuid and r.entity_type = '${kind}'), ${retainDays}))`;
}
const organizationDue = due('o', 'organizations');

/** True while nothing that would go with a row is held: its comments, its files and theirs. */
function nothingInsideHeld(parent: 'document_id' | 'task_id', id: string): string {
  return `not exists (select from comments c where c.org_id = $1::uuid and c.${parent} = ${id} and private.is_held(null, null, null, c.id))
    and not exists (select from attachments a where a.org_id = $1::uuid and a.${parent} = ${id} and private.is_held(null, null, null, null, a.id))
    and not exists (select from comments c join attachments a on a.org_id = c.org_id and a.comment_id = c.id
                     where c.org_id = $1::uuid and c.${parent} = ${id} and private.is_held(null, null, null, null, a.id))`;
}

interface PurgedRow {
  readonly id: string;
  /** Null where rows of the kind have none. */
  readonly project_id: string | null;
  readonly version: number | null;
  /** Of a version: the document that it was of. */
  readonly document_id?: string;
}

const attachments = `delete from attachments where org_id = $1::uuid and status = 'deleted' and id in (
  select a.id from attachments a
    left join comments c on c.org_id = a.org_id and c.id = a.comment_id
    left join documents d on d.org_id = a.org_id and d.id = coalesce(a.document_id, c.document_id)
    left join tasks t on t.org_id = a.org_id and t.id = coalesce(a.task_id, c.task_id)
   where a.org_id = $1::uuid and ${due('a', 'attachments')}
     and not private.is_held(coalesce(d.project_id, t.project_id), d.id, t.id, c.id, a.id)
   order by a.id limit $2)
  returning id, null as project_id, null::int as version`;

/** A remark that was answered goes after its answers, or they would go with it. */
const comments = `delete from comments where org_id = $1::uuid and status = 'deleted' and id in (
  select c.id from comments c
    left join documents d on d.org_id = c.org_id and d.id = c.document_id
    left join tasks t on t.org_id = c.org_id and t.id = c.task_id
   where c.org_id = $1::uuid and ${due('c', 'comments')}
     and not exists (select from comments r where r.org_id = c.org_id and r.parent_id = c.id)
     and not private.is_held(coalesce(d.project_id, t.project_id), d.id, t.id, c.id)
     and not exists (select from attachments a where a.org_id = c.org_id and a.comment_id = c.id and private.is_held(null, null, null, null, a.id))
   order by c.id limit $2)
  returning id, null as project_id, version`;

const documents = `delete from documents where org_id = $1::uuid and id in (
  select d.id from documents d
    join projects p on p.org_id = d.org_id and p.id = d.project_id
    join organizations o on o.id = d.org_id
   where d.org_id = $1::uuid and ((${due('d', 'documents')}) or (${due('p', 'projects')}) or (${organizationDue}))
     and not private.is_held(d.project_id, d.id) and ${nothingInsideHeld('document_id', 'd.id')}
   order by d.id limit $2)
  returning id, project_id, version`;

const tasks = `delete from tasks where org_id = $1::uuid and id in (
  select t.id from tasks t
    join projects p on p.org_id = t.org_id and p.id = t.project_id
    join organizations o on o.id = t.org_id
   where t.org_id = $1::uuid and ((${due('p', 'projects')}) or (${organizationDue}))
     and not private.is_held(t.project_id, null, t.id) and ${nothingInsideHeld('task_id', 't.id')}
   order by t.id limit $2)
  returning id, project_id, version`;

const projects = `delete from projects where org_id = $1::uuid and id in (
  select p.id from projects p join organizations o on o.id = p.org_id
   where p.org_id = $1::uuid and ((${due('p', 'projects')}) or (${organizationDue})) and not private.is_held(p.id)
     and not exists (select from documents d where d.org_id = p.org_id and d.project_id = p.id)
     and not exists (select from tasks t where t.org_id = p.org_id and t.project_id = p.id)
   order by p.id limit $2)
  returning id, id as project_id, version`;

/** Superseded longer ago than the policy says; without one, versions are kept as long as their document. */
const documentVersions = `delete from document_versions where org_id = $1::uuid and id in (
  select v.id from document_versions v
    join retention_policies r on r.org_id = v.org_id and r.entity_type = 'document_versions'
    join documents d on d.org_id = v.org_id and d.id = v.document_id
   where v.org_id = $1::uuid and v.created_at < now() - make_interval(days => r.retain_days) and not private.is_held(d.project_id, d.id)
   order by v.created_at, v.id limit $2)
  returning id, null as project_id, version, document_id`;

/** Read or not; without a policy they stay. A hold on the organization is the one that covers them. */
const notifications = `delete from notifications where org_id = $1::uuid and id in (
  select n.id from notifications n join retention_policies r on r.org_id = n.org_id and r.entity_type = 'notifications'
   where n.org_id = $1::uuid and n.created_at < now() - make_interval(days => r.retain_days) and private.is_held(null) is not true
   order by n.created_at, n.id limit $2)
  returning id, null as project_id, null::int as version`;

/** Kinds in the order in which they go: what is inside before what it is in. */
export const purgedTables = [
  'attachments',
  'comments',
  'documents',
  'tasks',
  'projects',
  'document_versions',
  'notifications',
] as const;
export type PurgedTable = (typeof purgedTables)[number];

/** Per kind, values: organization, rows at most; removes what is due and not held, and answers it. */
export const purgeRows = {
  attachments: statement<PurgedRow>('purge_attachments', attachments),
  comments: statement<PurgedRow>('purge_comments', comments),
  documents: statement<PurgedRow>('purge_documents', documents),
  tasks: statement<PurgedRow>('purge_tasks', tasks),
  projects: statement<PurgedRow>('purge_projects', projects),
  document_versions: statement<PurgedRow>('purge_document_versions', documentVersions),
  notifications: statement<PurgedRow>('purge_notifications', notifications),
} as const;

/** Removes the transaction's organization when it is due, empty and not held; answers whether it did. */
export const purgeOrganization = statement<{ purged: boolean }>(
  'purge_organization',
  `select private.purge_organization(${retainDays}) as purged`,
);

/** Values: files at most. */
export const owedBlobRemovals = statement<{ id: string; storage_key: string }>(
  'owed_blob_removals',
  'select id, storage_key from private.owed_blob_removals($1::int)',
);

/** Values: id of the debt. */
export const markBlobRemoved = statement<Record<string, never>>(
  'mark_blob_removed',
  'select private.mark_blob_removed($1::uuid)',
);
