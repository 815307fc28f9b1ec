drop function private.confirm_password;
drop function private.replace_password;
drop function private.reset_password;
drop function private.end_other_sessions;
drop function private.reset_token_owner;
drop function private.verify_email;
drop function private.issue_mail_token;
revoke select on public.mails from novax_definer;
drop table public.one_time_tokens;
