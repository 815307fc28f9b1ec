/** Keys and indexes: what keeps rows together and lookups fast. */
import { CATALOGUE, type Rule } from './rule.ts';

export const INTEGRITY_RULES: readonly Rule[] = [
  {
    name: 'foreign-key-index',
    why: 'deleting or updating the referenced row scans the referencing table unless an index leads with the key',
    sql: `${CATALOGUE}
      select f.object || '.' || f.conname as object, 'no index leads with its columns' as detail from foreign_keys f
       where not f.is_partition and not exists (
         select from pg_index x join pg_class i on i.oid = x.indexrelid join pg_am m on m.oid = i.relam and m.amname in ('btree', 'hash'),
                lateral (select array_agg(k.attnum order by k.place) filter (where k.place <= cardinality(f.conkey)) as leading
                           from unnest(x.indkey::int2[]) with ordinality k (attnum, place)) l
          where x.indrelid = f.oid and x.indisvalid and (x.indpred is null or pg_get_expr(x.indpred, f.oid) ~ '^\\(\\w+ IS NOT NULL\\)$')
            and (l.leading @> f.conkey
                 -- One selective column is enough: the organization beside it narrows nothing further.
                 or exists (select from pg_attribute a where a.attrelid = f.oid and a.attnum = l.leading[1] and a.attnum = any (f.conkey) and a.attname <> 'org_id')))`,
  },
  {
    name: 'tenant-foreign-key',
    why: 'a reference between two tenant tables carries org_id, so that a row cannot point into another organization',
    sql: `${CATALOGUE}
      select f.object || '.' || f.conname as object, 'org_id is not part of it' as detail from foreign_keys f
        join columns own on own.oid = f.oid and own.column = 'org_id'
        join columns other on other.oid = f.confrelid and other.column = 'org_id'
       where not f.is_partition and not own.attnum = any (f.conkey)`,
  },
  {
    name: 'invalid-index',
    why: 'an index left invalid by an interrupted build, or a parent whose partitions are not all attached, costs writes and serves no read',
    sql: `${CATALOGUE}
      select format('%I.%I', t.schema, i.relname) as object, 'invalid' as detail
        from tables t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
       where not (x.indisvalid and x.indisready and x.indislive)`,
  },
  {
    name: 'duplicate-index',
    why: 'two indexes of one definition double the cost of every write',
    sql: `${CATALOGUE}
      select t.object, string_agg(i.relname, ', ' order by i.relname) as detail
        from tables t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
       group by t.object, regexp_replace(pg_get_indexdef(x.indexrelid), '^.* ON ', '') having count(*) > 1`,
  },
];
