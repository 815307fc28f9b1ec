drop table public.event_streams;
