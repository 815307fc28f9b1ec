#!/bin/sh
# Makes the cluster when there is none, brings database, roles and passwords up to date, then becomes PostgreSQL.
# Passwords come from NOVAX_<ROLE>_PASSWORD or NOVAX_<ROLE>_PASSWORD_FILE; only the administrator's is required.
set -eu

umask 077
data=/var/lib/novax/cluster
database=novax

# secret NAME: the value of NAME, or the content of the file that NAME_FILE names, or nothing.
secret() {
  eval "value=\${$1:-} file=\${$1_FILE:-}"
  if [ -z "$value" ] && [ -n "$file" ]; then value=$(cat "$file"); fi
  printf %s "$value"
}

admin_password=$(secret NOVAX_ADMIN_PASSWORD)
if [ -z "$admin_password" ]; then
  echo 'novax-postgres: NOVAX_ADMIN_PASSWORD or NOVAX_ADMIN_PASSWORD_FILE must be set' >&2
  exit 1
fi

# Made beside its place and renamed when initdb has finished, so a half-made cluster is never started.
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.partial"
  initdb --pgdata="$data.partial" --username=novax_admin --auth=scram-sha-256 --pwfile=/dev/stdin \
    --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-instructions <<SECRET
$admin_password
SECRET
  mv "$data.partial" "$data"
fi

# The lock of a server that died in an earlier container: nothing else can run in this one yet.
rm -f "$data/postmaster.pid"

# Throw-away stacks (tests) may give up what survives a power cut.
if [ "${NOVAX_DURABLE:-on}" = off ]; then set -- "$@" -c fsync=off -c synchronous_commit=off -c full_page_writes=off; fi

# A server that only this script can reach: no TCP, its socket in a folder of its own, and no statement is logged or counted.
private=$(mktemp -d)
trap 'pg_ctl --pgdata="$data" --mode=immediate stop >/dev/null 2>&1 || true' EXIT
echo 'local all novax_admin trust' > "$private/pg_hba.conf"
options="-c config_file=/etc/novax/postgresql.conf -c hba_file=$private/pg_hba.conf"
options="$options -c listen_addresses='' -c unix_socket_directories=$private -c pg_stat_statements.track=none"
options="$options -c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic"
pg_ctl --pgdata="$data" --wait --timeout=300 --silent --log="$private/log" --options="$options" start || { cat "$private/log" >&2; exit 1; }

export PGOPTIONS="-c client_min_messages=warning"
sql() { psql --host="$private" --username=novax_admin --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"; }

if [ -z "$(sql --dbname=postgres --tuples-only --no-align --command="select 1 from pg_database where datname = '$database'")" ]; then
  # Orders by code point and never changes with a C library: an upgraded cluster cannot hold an index sorted by yesterday's rules.
  sql --dbname=postgres --command="create database $database template template0 encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8' locale 'C.UTF-8'"
fi
sql --dbname="$database" --file=/etc/novax/bootstrap.sql

for role in admin api worker ai migrator readonly backup; do
  name=NOVAX_$(printf %s "$role" | tr a-z A-Z)_PASSWORD
  password=$(secret "$name")
  unset "$name"
  [ -n "$password" ] || continue
  # Read from the environment and quoted by psql, so that no process list shows it.
  export password
  sql --dbname=postgres <<SQL
\\getenv password password
alter role novax_$role password :'password';
SQL
  unset password
done

pg_ctl --pgdata="$data" --wait --silent --mode=fast stop
rm -rf "$private"
unset PGOPTIONS
trap - EXIT
exec postgres -D "$data" -c config_file=/etc/novax/postgresql.conf -c hba_file=/etc/novax/pg_hba.conf "$@"
