# Mistakes on the command line: one clear line, an exit status, no panic. Sourced by run.
# shellcheck shell=bash disable=SC2154

# refused NAME STATUS PART ARGUMENT...
refused() {
  local name=$1 status=$2 part=$3 got=0 out
  shift 3
  out=$(timeout 120 "$executable" "$@" 2>&1 >/dev/null) || got=$?
  expect "$name: exit status" "$status" "$got"
  expect_part "$name: message" "$part" "$out"
  expect "$name: lines" 1 "$(wc -l <<<"$out")"
  if [[ $out == *panicked* ]]; then fail "$name" "$out"; else pass; fi
}

start_server
refused 'a port in use' 1 "${url#http://}" serve --cores 0 --listen "${url#http://}"
stop_server
refused 'a core that does not exist' 1 'core 900' serve --cores 900 --listen 127.0.0.1:0
refused 'nobody listens' 1 '127.0.0.1:1' run -d 1s http://127.0.0.1:1/
refused 'an address of another machine' 1 '192.0.2.1:8080' serve --cores 0 --listen 192.0.2.1:8080
refused 'a URL that does not parse' 2 'nonsense' run nonsense
(
  ulimit -n 8
  exec timeout 120 "$executable" serve --cores 0 --listen 127.0.0.1:0
) >"$server_log" 2>&1 && code=0 || code=$?
expect 'too few open files: exit status' 1 "$code"
expect_part 'too few open files: remedy' 'ulimit -n' "$(cat "$server_log")"
expect 'too few open files: lines' 1 "$(wc -l <"$server_log")"
