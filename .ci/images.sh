#!/usr/bin/env bash
# Builds images of docker-compose.yml: `.ci/images.sh SERVICE…` (postgres valkey-queue nats pgbouncer api …; all that can be had when none is named).
# Base images come from the registry when it answers; else they are made from Debian packages and the Node that npm ships.
# Needs an engine that answers and Docker Compose 2.20. Sourced, it only defines the functions.

# images_environment: sets the variables of docker-compose.yml that name base images, and the profiles whose images can be had.
images_environment() {
  export NOVAX_CI_CA COMPOSE_PROFILES=''
  NOVAX_CI_CA=$(ca_file)
  if registry_answers; then
    echo 'the image registry answers: base images are pulled'
    offer_profile search "${MEILISEARCH_IMAGE:-$(default_image meilisearch)}"
    offer_profile objects "${S3_IMAGE:-$(default_image s3)}"
    return 0
  fi
  echo 'no image registry answers: base images are made from Debian packages and the Node that npm ships'
  make_debian_base && make_node_base || return 1
  export DEBIAN_IMAGE=novax-base-debian:trixie VALKEY_IMAGE=novax-base-debian:trixie NATS_IMAGE=novax-base-debian:trixie NODE_IMAGE=novax-base-node:24
  echo '!!! LEFT OUT: meilisearch and s3, because their images come from a registry only'
}

# NOVAX_CI_BASE=debian makes base images even where a registry answers.
registry_answers() {
  [ "${NOVAX_CI_BASE:-}" != debian ] && node -e '
    fetch("https://registry-1.docker.io/v2/", { signal: AbortSignal.timeout(5000) }).then(
      (response) => process.exit(response.status === 200 || response.status === 401 ? 0 : 1),
      () => process.exit(1),
    )'
}

default_image() { sed -n 's/^ARG BASE_IMAGE=//p' "infra/images/$1/Dockerfile"; }

offer_profile() {
  if timeout 120 docker pull --quiet "$2" > /dev/null 2>&1; then
    COMPOSE_PROFILES=${COMPOSE_PROFILES:+$COMPOSE_PROFILES,}$1
  else
    echo "!!! LEFT OUT: the profile $1, because $2 cannot be pulled"
  fi
}

ca_file() {
  local file
  for file in "${NODE_EXTRA_CA_CERTS:-}" /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem; do
    if [ -s "$file" ]; then
      printf %s "$file"
      return
    fi
  done
}

make_debian_base() {
  docker image inspect novax-base-debian:trixie > /dev/null 2>&1 && return 0
  command -v mmdebstrap > /dev/null || install_packages mmdebstrap || return 1
  local mirror
  mirror=$(debian_mirror) || { echo 'apt names no Debian archive to make it from'; return 1; }
  # The pipe's failure must count, and only a whole archive may become an image.
  mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    trixie "$work/debian.tar" "$mirror" \
    && docker import "$work/debian.tar" novax-base-debian:trixie > /dev/null || return 1
  rm -f "$work/debian.tar"
  echo 'made novax-base-debian:trixie'
}

# Like the public Node image: Debian with node and npm in /usr/local.
make_node_base() {
  docker image inspect novax-base-node:24 > /dev/null 2>&1 && return 0
  local dir=$work/node arch
  case $(uname -m) in aarch64 | arm64) arch=arm64 ;; *) arch=x64 ;; esac
  rm -rf "$dir" && mkdir -p "$dir" \
    && cp "node_modules/node-linux-$arch/bin/node" "$dir/node" \
    && cp -R "$(npm root --global)/npm" "$dir/npm" || return 1
  cat > "$dir/Dockerfile" <<'DOCKERFILE'
FROM novax-base-debian:trixie
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && node --version && npm --version
DOCKERFILE
  docker build --quiet --network host --tag novax-base-node:24 "$dir" > "$dir.log" 2>&1 || { cat "$dir.log"; return 1; }
  rm -rf "$dir" "$dir.log"
  echo "made novax-base-node:24 with Node $(docker run --rm --network none novax-base-node:24 node --version)"
}

# build_images SERVICE…: with the output kept for the case that it fails.
build_images() {
  local services=("$@")
  if [ ${#services[@]} -eq 0 ]; then
    services=(postgres valkey-queue nats pgbouncer api)
    case ,$COMPOSE_PROFILES, in *,search,*) services+=(meilisearch) ;; esac
    case ,$COMPOSE_PROFILES, in *,objects,*) services+=(s3) ;; esac
  fi
  [ -f "$work/env" ] || node infra/images/make-env.mjs "$work/env" > /dev/null || return 1
  local service
  for service in "${services[@]}"; do
    local started=$SECONDS
    docker compose --env-file "$work/env" --file docker-compose.yml --file .ci/compose.ci.yml --progress plain build "$service" \
      > "$work/build-$service.log" 2>&1 || { tail -n 60 "$work/build-$service.log"; return 1; }
    echo "built $service in $((SECONDS - started)) s"
  done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  cd "$(dirname "$0")/.."
  work=$PWD/.novax/ci
  mkdir -p "$work"
  . .ci/stages.sh
  . .ci/engine.sh
  docker info > /dev/null 2>&1 || { echo 'no container engine answers' >&2; exit 1; }
  ensure_compose || { echo "$skip_reason" >&2; exit 1; }
  trap 'rm -f "$work/env"' EXIT
  images_environment
  build_images "$@"
fi
