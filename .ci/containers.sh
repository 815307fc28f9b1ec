#!/usr/bin/env bash
# Builds the images, brings docker-compose.yml up until everything is healthy, and finds a document through it. Leaves nothing running.
# Exit 0: all of it passed; 75: it cannot be had in this place (the reason is printed); anything else: something ran and failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec < /dev/null
work=$PWD/.novax/ci
mkdir -p "$work"
. .ci/stages.sh
. .ci/engine.sh
. .ci/images.sh

project=novax-ci-$$

compose() {
  docker compose --ansi never --project-name "$project" --env-file "$work/env" --file docker-compose.yml "$@"
}

# Settings of this run: fresh secrets, a port that nobody else has, only the profiles whose images can be had.
write_env() {
  rm -f "$work/env"
  node infra/images/make-env.mjs "$work/env" > /dev/null || return 1
  NOVAX_API_PORT=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  export NOVAX_API_PORT
  case ,$COMPOSE_PROFILES, in *,search,*) ;; *) export MEILI_URL='' ;; esac
  case ,$COMPOSE_PROFILES, in *,objects,*) ;; *) export STORAGE_DRIVER=fs ;; esac
}

prepare_images() {
  images_environment || return
  docker run --rm --network none "${DEBIAN_IMAGE:-$(default_image postgres)}" true || skip 'the engine cannot run a container in this place'
}

start_everything() {
  write_env && compose config --quiet || return
  # Naming the two processes waits for them; one-shot services they depend on have ended well by then.
  compose up --detach --no-build --wait --wait-timeout 180 api workers > "$work/up.log" 2>&1 || {
    tail -n 20 "$work/up.log"
    compose ps --all --format 'table {{.Service}}\t{{.Status}}'
    compose logs --tail 15 postgres pgbouncer nats valkey-queue
    compose logs --tail 60 migrate api workers
    return 1
  }
  compose ps --all --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'
}

# Facts that no health check shows.
inspect_containers() {
  local id bad=0 user published
  for id in $(compose ps --quiet); do
    user=$(docker exec "$id" id -u)
    if [ "$user" -lt 10000 ]; then
      echo "$(docker inspect --format '{{.Name}}' "$id") runs as user $user"
      bad=1
    fi
  done
  published=$(compose ps --format '{{.Service}} {{.Ports}}' | grep -e '->' | grep -v "^api .*127\.0\.0\.1:$NOVAX_API_PORT->3000/tcp" || true)
  if [ -n "$published" ]; then
    echo "published beside the API's loopback port: $published"
    bad=1
  fi
  [ "$bad" -eq 0 ] && echo 'every container runs as an ordinary user; nothing but the API is published'
  return "$bad"
}

walk() { node .ci/walk.mjs "http://127.0.0.1:$NOVAX_API_PORT"; }

walk_with_logs() {
  walk || {
    compose logs --tail 60 api workers
    return 1
  }
}

# Each server dies once, the hard way; the restart policy brings it back and the product still works.
survive_kills() {
  local service id pid
  for service in valkey-cache valkey-queue nats pgbouncer postgres workers api; do
    id=$(compose ps --quiet "$service")
    pid=$(docker inspect --format '{{.State.Pid}}' "$id")
    # From outside the container: `docker kill` would count as a wish and switch the restart policy off.
    [ "$pid" -gt 0 ] && [ -r "/proc/$pid/cgroup" ] && grep -q "$id" "/proc/$pid/cgroup" "/proc/$pid/mountinfo" || { skip 'the processes of the engine are not visible here'; return; }
    kill -KILL "$pid"
  done
  local deadline=$((SECONDS + 120))
  until [ "$(compose ps --format '{{.Health}}' | grep -c '^healthy$')" -eq "$(compose ps --quiet | wc -l)" ] && all_running; do
    [ "$SECONDS" -lt "$deadline" ] || { compose ps --all; compose logs --tail 20; return 1; }
    sleep 1
  done
  compose ps --format 'table {{.Service}}\t{{.Status}}'
  walk_with_logs
}

all_running() {
  local service
  for service in valkey-cache valkey-queue nats pgbouncer postgres workers api; do
    [ -n "$(compose ps --quiet --status running "$service")" ] || return 1
  done
}

# The other use of the same files: NOVAX_STACK=docker, through the tests of its driver.
try_docker_stack() {
  node bin/run.mjs node_modules/vitest/vitest.mjs run --config .ci/vitest.config.ts
}

clean_up() {
  if [ -f "$work/env" ]; then compose down --volumes --timeout 20 > "$work/down.log" 2>&1 || tail -n 5 "$work/down.log"; fi
  stop_engine
  rm -f "$work/env" "$work/debian.tar"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# A stage that fails or is skipped ends the rest: each needs the one before.
run_stages() {
  stage 'container engine' ensure_engine || return
  stage 'docker compose' ensure_compose || return
  stage 'base images' prepare_images || return
  stage 'build images' build_images || return
  stage 'compose up' start_everything || return
  stage 'users and ports' inspect_containers || return
  stage 'walk' walk_with_logs || return
  stage 'kill and recover' survive_kills || return
  stage 'docker stack' try_docker_stack || return
}

code=0
run_stages || code=$?
print_stages 'Containers:'
if [ "$code" -eq "$SKIPPED" ]; then printf '\n!!! CONTAINERS SKIPPED: %s\n' "$skip_reason"; fi
exit "$code"
