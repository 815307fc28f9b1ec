-- An event that failed for good can be given up by a person: it was never published and never will be, stays in the ledger as that, and holds nothing back.

create table public.events_dropped partition of public.events for values in ('dropped');
call private.force_rls('public.events_dropped');

-- The product has no installed base: the table is small wherever this runs, and a partition already holds the states that its rows may have.
-- squawk-ignore constraint-missing-not-valid
alter table public.events drop constraint ck_events_status, add constraint ck_events_status check (status in ('pending', 'published', 'failed', 'dropped'));
comment on column public.events.status is 'pending until the stream acknowledged it, then published; failed when no stream would take it, which holds its aggregate back until it is freed or dropped. What was dropped was never published.';
