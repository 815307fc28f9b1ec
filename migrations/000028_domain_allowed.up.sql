-- Who may join by the domain of their address; the function that redeems invitations asks.

set local role novax_definer;

create function private.domain_allowed(p_allowed varchar[], p_email_normalized varchar) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    cardinality(p_allowed) = 0
    -- A quoted local part may hold an @ of its own: the domain stands after the last one.
    or (p_email_normalized like '%_@_%' and split_part(p_email_normalized, '@', -1) = any (p_allowed)),
    false
  )
$$;
comment on function private.domain_allowed is 'True when the list is empty or holds exactly the domain of this lower-case address: no subdomains, no patterns. Whether the address was verified is the caller''s to ask.';
grant execute on function private.domain_allowed to novax_api;

set local role novax_owner;
