# A container engine and Docker Compose: the ones that are there, or our own for the time of this script. Sourced.

engine_dir=''
engine_pid=''

# ensure_engine: `docker` answers afterwards. Skips, with the reason, where none can be had.
ensure_engine() {
  if docker info > /dev/null 2>&1; then
    echo "an engine answers: $(docker version --format '{{.Server.Version}}')"
    return 0
  fi
  [ "$(uname -s)" = Linux ] || { skip 'no container engine answers, and one can be started on Linux only'; return; }
  [ "$(id -u)" -eq 0 ] || { skip 'no container engine answers, and only root can start one'; return; }
  if ! command -v dockerd > /dev/null; then
    install_packages docker.io iptables || { skip 'no container engine answers, and docker.io cannot be installed'; return; }
  fi
  # The package may have started a service of its own.
  docker info > /dev/null 2>&1 && return 0

  local options
  for options in '' '--iptables=false --ip6tables=false' '--iptables=false --ip6tables=false --storage-driver=vfs'; do
    start_engine "$options" && return 0
    echo "dockerd ${options:-without options} did not start:"
    tail -n 3 "$engine_dir/log" 2> /dev/null
    stop_engine
  done
  skip 'dockerd does not start in this place'
}

# start_engine OPTIONS: a daemon with everything of its own in a temporary folder; short, because a socket's path may have 107 characters.
start_engine() {
  engine_dir=$(mktemp -d /tmp/novax-ci.XXXXXX)
  # shellcheck disable=SC2086 -- the options are words
  # In a session of its own: a signal to this script's group must not take the engine away from the cleaning up.
  setsid dockerd --host "unix://$engine_dir/sock" --data-root "$engine_dir/data" --exec-root "$engine_dir/exec" \
    --pidfile "$engine_dir/pid" $1 > "$engine_dir/log" 2>&1 &
  engine_pid=$!
  export DOCKER_HOST="unix://$engine_dir/sock"
  local waited
  for waited in $(seq 1 60); do
    if docker info > /dev/null 2>&1; then
      echo "started dockerd $(docker version --format '{{.Server.Version}}') ($(docker info --format '{{.Driver}}')) in ${waited} half seconds"
      return 0
    fi
    kill -0 "$engine_pid" 2> /dev/null || return 1
    sleep 0.5
  done
  return 1
}

# stop_engine: ends the daemon that start_engine started, and nothing else. Safe to call twice.
stop_engine() {
  [ -n "$engine_pid" ] || return 0
  kill "$engine_pid" 2> /dev/null
  wait "$engine_pid" 2> /dev/null
  engine_pid=''
  unset DOCKER_HOST
  # Containers' namespaces stay mounted after their daemon; deepest first.
  local mount
  for mount in $(awk -v dir="$engine_dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r); do umount "$mount"; done
  rm -rf "$engine_dir" || echo "could not delete $engine_dir"
}

# install_packages NAME…: from the host's own package sources.
install_packages() {
  command -v apt-get > /dev/null || return 1
  echo "installing $*"
  apt-get update -q > /dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" > /dev/null
}

# debian_mirror: the archive that the host's apt uses; fails where apt names none.
debian_mirror() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2> /dev/null | grep -E '/debian/?$' | head -n 1)
  [ -n "$mirror" ] && printf %s "$mirror"
}

# ensure_compose: `docker compose` is version 2.20 or newer afterwards; Debian 13's plugin is taken where the host has none.
ensure_compose() {
  if compose_is_new; then
    echo "Docker Compose $(docker compose version --short)"
    return 0
  fi
  local dir=$work/compose
  if [ ! -x "$dir/cli-plugins/docker-compose" ]; then
    rm -rf "$dir"
    mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/cli-plugins"
    local mirror
    mirror=$(debian_mirror) || { skip 'Docker Compose 2.20 or newer is not there, and apt names no Debian archive to take it from'; return; }
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$dir/apt/sources.list"
    local options=(
      -q -o "Dir::Etc::sourcelist=$dir/apt/sources.list" -o Dir::Etc::sourceparts=-
      -o "Dir::State::Lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt/cache" -o APT::Sandbox::User=root
    )
    (cd "$dir/apt" && apt-get "${options[@]}" update && apt-get "${options[@]}" download docker-compose) > "$dir/log" 2>&1 \
      && dpkg-deb -x "$dir"/apt/docker-compose_*.deb "$dir/apt/root" \
      && mv "$dir/apt/root/usr/libexec/docker/cli-plugins/docker-compose" "$dir/cli-plugins/" \
      || { tail -n 3 "$dir/log"; skip 'Docker Compose 2.20 or newer is not there and cannot be fetched'; return; }
    rm -rf "$dir/apt"
  fi
  export DOCKER_CONFIG=$dir
  compose_is_new || { skip 'Docker Compose from Debian 13 does not run here'; return; }
  echo "Docker Compose $(docker compose version --short), from Debian 13"
}

compose_is_new() {
  local version
  version=$(docker compose version --short 2> /dev/null) || return 1
  version=${version#v}
  [ "$(printf '%s\n' 2.20 "$version" | sort -V | head -n 1)" = 2.20 ]
}
