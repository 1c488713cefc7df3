# Load generators written by others, in short. Sourced by run.
# shellcheck shell=bash disable=SC2154

start_server

for connections in 1 64; do
  out=$(wrk -t 1 -c $connections -d 1s --timeout 30s "$url/plaintext" 2>&1)
  expect_part "wrk with $connections connections" 'requests in' "$out"
  if [[ $out == *'Socket errors'* || $out == *'Non-2xx'* ]]; then fail "wrk with $connections" "$out"; else pass; fi
done

out=$(h2load --h1 -n 20000 -c 8 -t 1 "$url/json" 2>&1)
expect_part 'h2load' 'status codes: 20000 2xx' "$out"
out=$(h2load --h1 -n 20000 -c 8 -m 16 -t 1 "$url/user/7" 2>&1)
expect_part 'h2load, pipelined' 'status codes: 20000 2xx' "$out"

stop_server
