/** Where the schema departs from its own rules, each time with the reason. */

export interface Allowance {
  rule: string;
  /** Qualified name as the finding gives it; `*` stands for any part. */
  object: string;
  reason: string;
}

const allow = (rule: string, reason: string, ...objects: string[]): Allowance[] =>
  objects.map((object) => ({ rule, object, reason }));

export const ALLOWED: readonly Allowance[] = [
  ...allow('table-plural', 'named by the specification', 'public.audit_log'),
  ...allow('table-plural', 'has one row', 'public.audit_horizon'),
  ...allow('table-plural', 'the pattern is called inbox, and has one per database', 'public.inbox'),

  ...allow('foreign-key-name', 'the tenant key is org_id in every table, as the specification has it', '*.org_id'),
  ...allow(
    'foreign-key-name',
    'names the part a person plays, as the specification has it',
    '*.owner_id',
    '*.author_id',
    '*.assignee_id',
    '*.creator_id',
  ),
  ...allow(
    'foreign-key-name',
    'names the part a person plays where user_id would not say which',
    '*.editor_id',
    '*.inviter_id',
    '*.link_user_id',
    '*.resolver_id',
    '*.reviewer_id',
    '*.uploader_id',
    '*.accepted_by_id',
    '*.released_by_id',
  ),
  ...allow(
    'foreign-key-name',
    'refers to its own table',
    'public.comments.parent_id',
    'public.refresh_tokens.replaced_by_id',
  ),
  ...allow(
    'foreign-key-name',
    'the table is about models; the long name would repeat it in every search',
    'public.ai_embeddings.model_id',
  ),

  ...allow(
    'index-name',
    'the board index of the specification, which carries the sort column of the board too',
    'public.idx_tasks_project_id_status',
  ),
  ...allow(
    'index-name',
    'source_type is left out: with it the name would pass the 63 bytes of an identifier',
    'public.idx_ai_embeddings_org_id_source_id_model_id_chunk_no',
  ),

  ...allow('standard-id', 'bigint identity, because the id orders the rows of one aggregate', 'public.events'),
  ...allow('standard-id', 'bigint identity, because seals name ranges of rows', 'public.audit_log'),
  ...allow('standard-id', 'one row, and a check that it stays one', 'public.audit_horizon'),
  ...allow('standard-id', 'keyed by what makes a delivery one', 'public.inbox'),
  ...allow('standard-id', 'keyed by the transaction, so that writers never meet', 'public.view_changes'),
  ...allow('standard-id', 'one row per organization, keyed by it', 'public.org_stats'),
  ...allow('standard-id', 'a literal in every vector statement, so small', 'public.embedding_models'),
  ...allow('standard-*', 'a copy of org_members with what policies read and nothing more', 'app.memberships'),
  ...allow('standard-*', 'laid down by golang-migrate', 'public.schema_migrations'),
  ...allow('standard-*', 'the bookkeeping beside it', 'public.schema_migration_files'),
  ...allow(
    'standard-updated-at',
    'rows are written once and never changed',
    'public.document_versions',
    'public.audit_log',
    'public.inbox',
    'public.usage_samples',
    'public.metric_samples',
    'public.ai_embeddings',
    'public.view_changes',
    'public.blob_removals',
  ),
  ...allow(
    'standard-updated-at',
    'one column changes once, and says when itself',
    'public.recovery_codes',
    'public.audit_seals',
  ),
  ...allow(
    'standard-updated-at',
    'the relay alone changes rows; published_at and next_attempt_at say when',
    'public.events',
  ),

  ...allow(
    'definer-view',
    'filters by app.current_org_id itself, behind a barrier: row-level security cannot guard a materialized view',
    'ai.mv_ai_*',
  ),
  ...allow(
    'rls-disabled',
    'bookkeeping of the migrator, which no runtime role may touch',
    'public.schema_migrations',
    'public.schema_migration_files',
  ),
  ...allow(
    'policy-always-true',
    'has no reader but the worker, which handles every organization’s',
    'public.events.*_novax_worker',
    'public.inbox.*_novax_worker',
    'public.dead_letters.*_novax_worker',
    'public.mails.*_novax_worker',
  ),
  ...allow(
    'policy-always-true',
    'the worker sweeps what expired, whoever it belongs to',
    'public.sessions.*_novax_worker',
    'public.idempotency_keys.*_novax_worker',
  ),
  ...allow(
    'policy-always-true',
    'holds nothing of any tenant',
    'public.embedding_models.*',
    'public.backup_runs.*',
    'public.event_streams.*',
    'public.background_migrations.*',
  ),
  ...allow(
    'rls-without-policy',
    'closed to every runtime role on purpose: named functions alone reach it',
    'public.oauth_flows',
    'public.refresh_tokens',
    'public.one_time_tokens',
    'public.audit_horizon',
    'public.erasures',
    'public.view_changes',
    'public.blob_removals',
    'public.usage_samples',
    'public.metric_samples',
  ),
];
