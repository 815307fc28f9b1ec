drop table public.webhook_deliveries;
drop table public.webhooks;
drop table public.notification_preferences;
drop table public.notifications;
drop table public.idempotency_keys;
