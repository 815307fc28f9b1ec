/**
 * Who may do what to which table, at the database alone: grants and policies, whatever the application asks. One line per table or view;
 * a new one without a line fails, and so does a line that trying does not bear out.
 *
 * Commands are select, insert, update, delete and truncate; what is not named is denied. How far a command reaches:
 *
 * - `viewer` `member` `admin` `owner`: for `api`, rows of organizations in which the person has at least that role
 * - `self`: the person's own rows; `&self`: only in one's own name (author, creator, actor)
 * - `org`: rows of `app.current_org_id`; `org|none`: and those of no organization while it is not set
 * - `all`: every row; `nothing`: granted, but no policy shows a row
 * - `0/0/3/4`: of the four people's rows of an organization, how many a viewer, member, admin and owner reach
 *
 * `ai` stands for the group `ai_agent_role` and the login `novax_ai` alike. Partitions have one line for all of them.
 */
export const RIGHTS: Readonly<Record<string, string>> = {
  // Queries join these; what they show is filtered inside the view, because row-level security cannot guard a materialized view.
  'ai.mv_ai_document_context': 'worker select:org; ai select:org; readonly select:org',
  'ai.mv_ai_task_intelligence': 'worker select:org; ai select:org; readonly select:org',
  'private.mv_ai_document_context': '',
  'private.mv_ai_task_intelligence': '',

  // Functions alone reach it: it says that something changed, not what.
  'public.view_changes': 'backup select:all',
  // Likewise: files of any organization, which the worker alone removes.
  'public.blob_removals': 'backup select:all',

  // What policies read. A person sees their own memberships; a trigger alone writes, or callers could let themselves in.
  'app.memberships': 'api select:self; worker select:org; backup select:all',

  'public.users': 'api select:self update:self; worker select:org; readonly select:org; backup select:all',
  // The worker sweeps what expired, whoever it belongs to.
  'public.sessions': 'api select:self; worker select:all delete:all; backup select:all',
  // Named functions alone reach it.
  'public.refresh_tokens': 'backup select:all',
  'public.one_time_tokens': 'backup select:all',
  'public.oauth_flows': 'backup select:all',
  // A named function alone deletes: the last way into an account stays.
  'public.oauth_accounts': 'api select:self insert:self update:self; backup select:all',
  'public.totp_factors': 'api select:self insert:self update:self delete:self; backup select:all',
  'public.recovery_codes': 'api select:self insert:self update:self delete:self; backup select:all',
  'public.person_keys': 'api select:self insert:self update:self; backup select:all',
  'public.notification_preferences':
    'api select:self insert:self update:self delete:self; worker select:org; backup select:all',

  // Made by private.create_organization, deleted by status.
  'public.organizations': 'api select:viewer update:admin; worker select:org; readonly select:org; backup select:all',
  // An admin manages everyone but owners; anyone may leave.
  'public.org_members':
    'api select:viewer insert:admin update:0/0/3/4 delete:1/1/3/4; worker select:org; readonly select:org; backup select:all',
  'public.invitations':
    'api select:admin insert:admin&self update:admin; worker select:org update:org; backup select:all',
  'public.api_keys': 'api select:admin insert:admin&self update:admin; readonly select:org; backup select:all',
  'public.org_stats': 'api select:viewer; worker select:org; readonly select:org; backup select:all',
  'public.retention_policies':
    'api select:viewer insert:admin update:admin delete:admin; worker select:org; readonly select:org; backup select:all',
  'public.legal_holds':
    'api select:admin insert:owner&self update:owner; worker select:org; readonly select:org; backup select:all',

  // People delete work softly; the worker deletes for good what retention says.
  'public.projects':
    'api select:viewer insert:member update:member; worker select:org delete:org; readonly select:org; backup select:all',
  'public.documents':
    'api select:viewer insert:member&self update:member; worker select:org update:org delete:org; ai select:org update:org; readonly select:org; backup select:all',
  'public.document_versions': 'api select:viewer; worker select:org delete:org; readonly select:org; backup select:all',
  'public.tasks':
    'api select:viewer insert:member&self update:member delete:member; worker select:org update:org delete:org; ai select:org update:org; readonly select:org; backup select:all',
  'public.comments':
    'api select:viewer insert:member&self update:member delete:member; worker select:org delete:org; readonly select:org; backup select:all',
  'public.attachments':
    'api select:viewer insert:member&self update:member; worker select:org update:org delete:org; readonly select:org; backup select:all',

  'public.embedding_models': 'api select:all; worker select:all; ai select:all; readonly select:all; backup select:all',
  'public.ai_embeddings':
    'api select:viewer; worker select:org insert:org delete:org; ai select:org insert:org; readonly select:org; backup select:all',
  // One's own runs, and all of them for those who answer for the organization.
  'public.ai_runs':
    'api select:1/1/4/4 insert:viewer&self update:self; worker select:org insert:org update:org delete:org; readonly select:org; backup select:all',
  'public.ai_proposals':
    'api select:viewer insert:member update:member; worker select:org insert:org update:org delete:org; readonly select:org; backup select:all',

  // By app.current_org_id and never by membership, or leaving an organization could not be recorded. The worker relays everyone's.
  'public.events':
    'api insert:org&self; worker select:all insert:org|none update:all delete:all; readonly select:org; backup select:all',
  'public.inbox': 'worker select:all insert:all delete:all; backup select:all',
  // The API asks for mails by a named function, and never sees one.
  'public.mails': 'worker select:all update:all delete:all; backup select:all',
  'public.event_streams': 'worker select:all insert:all update:all; backup select:all',
  'public.dead_letters': 'worker select:all insert:all update:all delete:all; backup select:all',
  'public.audit_log':
    'api select:admin insert:org&self; worker select:org insert:org; readonly select:org; backup select:all',
  // Written by named functions alone; the chain of rows without an organization is read by a worker that works for none.
  'public.audit_seals': 'api select:admin; worker select:org|none; readonly select:org; backup select:all',

  'public.audit_horizon': 'backup select:all',
  'public.erasures': 'backup select:all',

  // A person's memory of their calls: org_id is part of the key and shows nobody anything.
  'public.idempotency_keys':
    'api select:self insert:self update:self delete:self; worker select:all delete:all; backup select:all',
  'public.notifications':
    'api select:self update:self; worker select:org insert:org delete:org; readonly select:org; backup select:all',
  'public.webhooks':
    'api select:admin insert:admin&self update:admin delete:admin; worker select:org update:org; readonly select:org; backup select:all',
  'public.webhook_deliveries':
    'api select:admin update:admin; worker select:org insert:org update:org; readonly select:org; backup select:all',

  // Written and read through functions of private alone, so that they may be hypertables, whose chunks no policy guards.
  'public.usage_samples': 'backup select:all',
  'public.metric_samples': 'backup select:all',
  'public.backup_runs': 'worker select:all insert:all update:all delete:all; readonly select:all; backup select:all',
  'public.background_migrations': 'worker select:all update:all; readonly select:all; backup select:all',
  'public.schema_migrations': 'backup select:all',
  'public.schema_migration_files': 'backup select:all',
};

/** Every partition, named directly: closed to whoever serves requests or jobs, because it is not under its parent's policies. */
export const PARTITION_RIGHTS = 'backup select:all';

/** Roles of the table by the word that stands for them there. */
export const ROLES_BY_WORD = {
  api: ['novax_api'],
  worker: ['novax_worker'],
  ai: ['ai_agent_role', 'novax_ai'],
  readonly: ['novax_readonly'],
  backup: ['novax_backup'],
} as const;

/** Columns that no grant shows: hashes of secrets. The functions of `private` compare them. */
export const UNREADABLE: Readonly<Record<string, readonly string[]>> = {
  'public.users': ['password_hash'],
  'public.sessions': ['sid_hash'],
  'public.refresh_tokens': ['token_hash'],
  'public.invitations': ['token_hash'],
  'public.api_keys': ['key_hash'],
};
