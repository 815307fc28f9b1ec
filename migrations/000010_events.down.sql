drop table public.dead_letters;
drop table public.inbox;
drop table public.events;
