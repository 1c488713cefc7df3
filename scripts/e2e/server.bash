# Starts and stops the server under test. Sourced by run, which sets executable.
# shellcheck shell=bash disable=SC2154

server=
url=
server_log=$(mktemp)

start_server() {
  : >"$server_log"
  "$executable" serve --listen 127.0.0.1:0 --cores 0 >"$server_log" 2>&1 &
  server=$!
  for _ in $(seq 1200); do
    url=$(grep -o 'http://[^ ]*' "$server_log" | head -n 1 || true)
    [[ -n $url ]] && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  echo "the server did not start: $(cat "$server_log")" >&2
  exit 1
}

stop_server() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  fi
}

fetch() {
  curl --disable --noproxy '*' --silent --show-error --max-time 120 "$@" 2>&1 || true
}

status_of() {
  fetch --output /dev/null --write-out '%{http_code}' "$@"
}
