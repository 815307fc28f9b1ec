drop function private.mark_erasure_recorded, private.unrecorded_erasures, private.replay_erasure, private.erase_person, private.export_person;
revoke delete on public.refresh_tokens, public.one_time_tokens, public.mails, public.org_members from novax_definer;
revoke select, delete on public.notification_preferences, public.notifications, public.idempotency_keys from novax_definer;
revoke select, delete on public.totp_factors, public.recovery_codes from novax_definer;
revoke update on public.person_keys from novax_definer;
revoke update on public.organizations from novax_definer;
drop table public.erasures;
