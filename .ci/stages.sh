# Stages with a name, a duration and an outcome; sourced by the scripts beside it.

# A stage that cannot be had in this place ends with this code; one that ran and failed ends with any other.
readonly SKIPPED=75

declare -a stage_report=()
stage_failures=0
skip_reason=''

# skip REASON: ends the stage as one that cannot be had here.
skip() {
  skip_reason=$1
  return "$SKIPPED"
}

# stage NAME COMMAND…: runs the command in this shell and keeps its outcome; returns what it returned.
stage() {
  local name=$1 started=$SECONDS code=0 outcome
  shift
  skip_reason=''
  printf '\n=== %s\n' "$name"
  "$@" || code=$?
  case $code in
    0) outcome=passed ;;
    "$SKIPPED") outcome="SKIPPED${skip_reason:+: $skip_reason}" ;;
    *) outcome="FAILED with code $code"; stage_failures=$((stage_failures + 1)) ;;
  esac
  stage_report+=("$(printf '%-24s %4d s  %s' "$name" "$((SECONDS - started))" "$outcome")")
  printf '=== %s: %s after %d s\n' "$name" "$outcome" "$((SECONDS - started))"
  return "$code"
}

# Every stage so far, one a line.
print_stages() {
  printf '\n%s\n' "$1"
  printf '  %s\n' "${stage_report[@]}"
}
