#!/bin/sh
# Becomes the server. The password comes from NATS_PASSWORD or NATS_PASSWORD_FILE.
set -eu

password=${NATS_PASSWORD:-}
if [ -z "$password" ] && [ -n "${NATS_PASSWORD_FILE:-}" ]; then password=$(cat "$NATS_PASSWORD_FILE"); fi
if [ -z "$password" ]; then
  echo 'novax-nats: NATS_PASSWORD or NATS_PASSWORD_FILE must be set' >&2
  exit 1
fi

# The server reads a variable as a piece of its configuration: unquoted, a password that begins with a digit would be a number.
NOVAX_QUOTED_PASSWORD="\"$password\""
NOVAX_SYNC_INTERVAL=always
if [ "${NOVAX_DURABLE:-on}" = off ]; then NOVAX_SYNC_INTERVAL='"2m"'; fi
export NOVAX_QUOTED_PASSWORD NOVAX_SYNC_INTERVAL
exec nats-server -c /etc/novax/nats.conf "$@"
