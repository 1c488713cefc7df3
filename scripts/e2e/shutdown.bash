# SIGTERM while answers are on their way. Sourced by run.
# shellcheck shell=bash disable=SC2154

start_server
results=$(mktemp)
downloads=()
for _ in $(seq 8); do
  curl --silent --limit-rate 20M --output /dev/null --write-out '%{http_code} %{size_download}\n' \
    "$url/big?n=30000000" >>"$results" &
  downloads+=($!)
done
sleep 0.5
kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
wait "${downloads[@]}" || true
expect 'exit status after SIGTERM' 0 "$code"
expect 'downloads finished after SIGTERM' 8 "$(grep -c '^200 30000000$' "$results" || true)"
expect 'nobody listens any more' 000 "$(curl --silent --max-time 2 --output /dev/null --write-out '%{http_code}' "$url/" || true)"
rm -f "$results"
