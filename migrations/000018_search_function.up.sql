-- Full-text search. The operator @@ is not leakproof: under row-level security its index is not used, so a function filters by organization itself.

set local role novax_definer;

create function private.search_documents(q text, p_org uuid, p_project uuid, p_limit integer)
returns table (id uuid, project_id uuid, title varchar, snippet text, score real, updated_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
  v_simple tsquery := websearch_to_tsquery('simple', q);
  v_english tsquery := websearch_to_tsquery('english', q);
  v_indonesian tsquery := websearch_to_tsquery('indonesian', q);
begin
  if session_user in ('novax_worker', 'novax_ai') then
    if p_org is distinct from v_org_id then
      return;
    end if;
  elsif p_org is distinct from coalesce(v_org_id, p_org)
    or not exists (
      select from app.memberships m
      where m.user_id = nullif(current_setting('app.current_user_id', true), '')::uuid and m.org_id = p_org
    ) then
    return;
  end if;
  return query
    -- Apart from its joins: with the project in it, the planner expects one row and reads the whole organization instead of the text index.
    with matching as materialized (
      select d.id, d.org_id, d.project_id, d.title, d.language, d.updated_at,
        case d.language when 'english' then v_english when 'indonesian' then v_indonesian else v_simple end as query,
        -- 1 | 32: divided by 1 + log(length), then mapped into 0..1.
        ts_rank_cd(
          d.search_vector, case d.language when 'english' then v_english when 'indonesian' then v_indonesian else v_simple end, 1 | 32
        ) as score
      from public.documents d
      where d.org_id = p_org
        and d.status in ('draft', 'active')
        and (p_project is null or d.project_id = p_project)
        -- One arm per language, each a lookup in the same index.
        and (
          (d.language = 'english' and d.search_vector @@ v_english)
          or (d.language = 'indonesian' and d.search_vector @@ v_indonesian)
          or (d.language = 'simple' and d.search_vector @@ v_simple)
        )
    ),
    best as materialized (
      select m.*
      from matching m
      join public.projects p on p.org_id = m.org_id and p.id = m.project_id and p.status <> 'deleted'
      order by m.score desc, m.updated_at desc, m.id
      limit least(greatest(coalesce(p_limit, 20), 1), 100)
    )
    select b.id, b.project_id, b.title,
      -- Only the rows that are returned are highlighted, and only so far into each.
      ts_headline(
        b.language::regconfig, left(d.content, 100000), b.query,
        'StartSel=«, StopSel=», MaxFragments=2, MaxWords=24, MinWords=8, FragmentDelimiter=" … "'
      ),
      b.score,
      b.updated_at
    from best b
    join public.documents d on d.org_id = p_org and d.id = b.id
    order by b.score desc, b.updated_at desc, b.id;
end
$$;
comment on function private.search_documents is 'Full-text search in one organization the caller belongs to (for the worker and the AI: app.current_org_id); nothing for anyone else. q in web-search syntax; at most 100 hits; matches in «».';
grant execute on function private.search_documents to novax_api, novax_worker;

set local role novax_owner;
