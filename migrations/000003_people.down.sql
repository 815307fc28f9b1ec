drop table public.person_keys;
drop table public.recovery_codes;
drop table public.totp_factors;
drop table public.oauth_accounts;
drop table public.refresh_tokens;
drop table public.sessions;
drop table public.users;
