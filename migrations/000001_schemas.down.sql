drop schema ai;
drop schema private;
drop schema app;
