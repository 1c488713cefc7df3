# SIGTERM while answers are on their way. Sourced by run.
# shellcheck shell=bash disable=SC2154

start_server
results=$(mktemp)
begun=$(mktemp -d)
downloads=()
for number in $(seq 8); do
  # The first bytes say that it has begun.
  curl --disable --noproxy '*' --silent --limit-rate 20M --write-out '%{stderr}%{http_code} %{size_download}\n' \
    "$url/big?n=30000000" 2>>"$results" | {
    head -c 1 >"$begun/$number"
    cat >/dev/null
  } &
  downloads+=($!)
done
for _ in $(seq 600); do
  (($(find "$begun" -size +0 -type f | wc -l) == 8)) && break
  sleep 0.1
done
kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
wait "${downloads[@]}" || true
expect 'exit status after SIGTERM' 0 "$code"
expect 'downloads finished after SIGTERM' 8 "$(grep -c '^200 30000000$' "$results" || true)"
expect_part 'nobody listens any more' 'curl: (7)' "$(fetch "$url/")"
rm -rf "$results" "$begun"
