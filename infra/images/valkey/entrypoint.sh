#!/bin/sh
# novax-valkey queue|cache [option…]: becomes the server. novax-valkey check: exit 0 when it answers.
# The password comes from VALKEY_PASSWORD or VALKEY_PASSWORD_FILE, the memory bound from VALKEY_MAXMEMORY.
set -eu

password=${VALKEY_PASSWORD:-}
if [ -z "$password" ] && [ -n "${VALKEY_PASSWORD_FILE:-}" ]; then password=$(cat "$VALKEY_PASSWORD_FILE"); fi
if [ -z "$password" ]; then
  echo 'novax-valkey: VALKEY_PASSWORD or VALKEY_PASSWORD_FILE must be set' >&2
  exit 1
fi

role=${1:-}
[ $# -eq 0 ] || shift
case $role in
  check)
    [ "$(REDISCLI_AUTH=$password valkey-cli -h 127.0.0.1 ping)" = PONG ]
    exit ;;
  queue)
    # Jobs, sessions and rate limits: a full server refuses writes rather than lose a key, and restarts with what it held.
    policy=noeviction
    appendonly=yes ;;
  cache)
    policy=allkeys-lru
    appendonly=no ;;
  *)
    echo 'novax-valkey: say queue, cache or check' >&2
    exit 2 ;;
esac

appendfsync=everysec
if [ "${NOVAX_DURABLE:-on}" = off ]; then appendfsync=no; fi

# The configuration comes on standard input, where neither a process list nor a file shows the password.
exec valkey-server - "$@" <<CONFIG
bind * -::*
port 6379
protected-mode yes
dir /var/lib/novax
requirepass $password
save ""
appendonly $appendonly
appendfsync $appendfsync
maxmemory ${VALKEY_MAXMEMORY:-512mb}
maxmemory-policy $policy
CONFIG
