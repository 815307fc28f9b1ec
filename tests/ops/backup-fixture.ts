/** A database with enough in it for a backup to miss something: tenants, documents, vectors, events in every partition, an audit trail. */
import type { Client } from 'pg';

/** `documents` rows with a vector each, events of every status over four months, audit rows, identities that have moved on. */
export async function fillDatabase(client: Client, documents: number): Promise<void> {
  // An organization without its owner's membership is refused at commit.
  await client.query('begin');
  await client.query(
    `insert into public.users (email, email_normalized, username, username_normalized, password_hash) select 'Person' || n || '@example.com', 'person' || n || '@example.com', 'Person' || n, 'person' || n, 'x' from generate_series(1, 5) n`,
  );
  await client.query(
    `insert into public.organizations (id, name, slug, owner_id) select gen_random_uuid(), E'Org\\t' || n || E' – line\\nbreak \\\\ back', 'org-' || n, (select id from public.users order by id limit 1) from generate_series(1, 3) n`,
  );
  await client.query(
    `insert into public.org_members (org_id, user_id, role) select o.id, u.id, case when u.id = o.owner_id then 'owner' else 'member' end from public.organizations o, public.users u on conflict do nothing`,
  );
  await client.query(
    `insert into public.projects (org_id, name) select id, 'Project of ' || slug from public.organizations`,
  );
  await client.query(
    `insert into public.documents (org_id, project_id, title, content, language, author_id)
       select p.org_id, p.id, 'Document ' || n, E'\\\\. ends nothing; tab\\there; newline\\nthere; NULL \\\\N; ünïcode 文書 ' || repeat(md5(n::text), 1 + n % 40), 'english', (select id from public.users order by id limit 1)
         from generate_series(1, $1::int) n join lateral (select * from public.projects order by id offset n % 3 limit 1) p on true`,
    [documents],
  );
  // Registered by nobody's migration: its indexes must be made again.
  await client.query(`select private.ensure_embedding_model('a-model-of-later', 'openai', 256::smallint)`);
  await client.query(
    `insert into public.ai_embeddings (org_id, document_id, model_id, dims, embedding, content_hash, char_from, char_to, chunk_no)
       select d.org_id, d.id, (select min(id) from public.embedding_models), 512,
              (select array_agg(case when i <= 8 then ((hashtext(d.id::text || i) % 1000) / 1000.0)::real else 0 end) from generate_series(1, 1536) i)::vector,
              decode(md5(d.id::text) || md5(d.id::text), 'hex'), 0, 100, 0
         from public.documents d`,
  );
  await client.query(
    `insert into public.events (org_id, event_type, aggregate_type, aggregate_id, payload, actor_type, status, created_at)
       select d.org_id, 'document.created', 'document', d.id, jsonb_build_object('title', d.title, 'n', 1.5), 'system',
              (array['pending', 'published', 'failed'])[1 + abs(hashtext(d.id::text)) % 3], now() + make_interval(months => abs(hashtext(d.id::text)) % 4)
         from public.documents d`,
  );
  await client.query(
    `insert into public.audit_log (org_id, actor_type, action, entity_type, entity_id, new_value, created_at)
       select d.org_id, 'system', 'create', 'document', d.id, jsonb_build_object('title', d.title), now() + make_interval(months => abs(hashtext(d.id::text)) % 3)
         from public.documents d`,
  );
  await client.query('commit');
}
