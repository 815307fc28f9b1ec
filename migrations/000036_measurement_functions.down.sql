drop function private.record_metric;
drop function private.record_usage;
revoke insert on public.usage_samples, public.metric_samples from novax_definer;
call private.add_policies('public.usage_samples', 'novax_worker', '{insert}', private.in_current_org());
call private.add_policies('public.metric_samples', 'novax_worker', '{insert}', 'true');
grant insert on public.usage_samples, public.metric_samples to novax_worker;
