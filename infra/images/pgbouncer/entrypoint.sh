#!/bin/sh
# Becomes the pool. novax-pgbouncer check: exit 0 when a statement reaches the database.
# The API's password comes from NOVAX_API_PASSWORD or NOVAX_API_PASSWORD_FILE.
set -eu

umask 077
password=${NOVAX_API_PASSWORD:-}
if [ -z "$password" ] && [ -n "${NOVAX_API_PASSWORD_FILE:-}" ]; then password=$(cat "$NOVAX_API_PASSWORD_FILE"); fi
if [ -z "$password" ]; then
  echo 'novax-pgbouncer: NOVAX_API_PASSWORD or NOVAX_API_PASSWORD_FILE must be set' >&2
  exit 1
fi

if [ "${1:-}" = check ]; then
  PGPASSWORD=$password PGCONNECT_TIMEOUT=2 exec psql --host=127.0.0.1 --port=6432 --username=novax_api --dbname=novax --no-psqlrc --quiet --output=/dev/null --command='select 1'
fi

escaped=$(printf %s "$password" | sed 's/"/""/g')
printf '"novax_api" "%s"\n' "$escaped" > /tmp/users.txt
cat > /tmp/pgbouncer.ini <<CONFIG
[databases]
novax = host=${POSTGRES_HOST:-postgres} port=${POSTGRES_PORT:-5432} dbname=novax

[pgbouncer]
listen_addr = *
listen_port = 6432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /tmp/users.txt
pool_mode = transaction
; Statements prepared by name follow their client from connection to connection.
max_prepared_statements = 500
default_pool_size = ${PGBOUNCER_POOL_SIZE:-20}
max_client_conn = 500
query_wait_timeout = 5
server_login_retry = 1
; Drivers send these at sign-in; the pool cannot keep them apart per client.
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
CONFIG
exec pgbouncer /tmp/pgbouncer.ini
