# Bodies up and down, with curl. Sourced by run.
# shellcheck shell=bash disable=SC2154

start_server
upload=$(mktemp)
head -c 1500000 /dev/urandom >"$upload"
sum=$(sha256sum <"$upload")

expect 'echo with a length' "$sum" "$(fetch --data-binary "@$upload" "$url/echo" | sha256sum)"
expect 'echo of chunks' "$sum" \
  "$(fetch --header 'Transfer-Encoding: chunked' --data-binary "@$upload" "$url/echo" | sha256sum)"
expect 'echo after 100 Continue' "$sum" \
  "$(fetch --header 'Expect: 100-continue' --data-binary "@$upload" "$url/echo" | sha256sum)"
expect_part '100 Continue is sent' 'HTTP/1.1 100 Continue' \
  "$(fetch --verbose --header 'Expect: 100-continue' --data small "$url/echo")"
expect 'echo of nothing' '' "$(fetch --request POST "$url/echo")"

expect 'big length' 3000000 "$(fetch "$url/big?n=3000000" | wc -c)"
expect 'big of nothing' '200 0' "$(fetch --output /dev/null --write-out '%{http_code} %{size_download}' "$url/big?n=0")"
expect 'big without a size' 400 "$(status_of "$url/big")"
before=$(awk '/VmRSS/ {print $2}' "/proc/$server/status")
expect 'half a gigabyte' 536870912 "$(fetch "$url/big?n=536870912" | wc -c)"
after=$(awk '/VmRSS/ {print $2}' "/proc/$server/status")
if ((after - before < 16384)); then pass; else fail 'memory of a big answer' "grew from $before to $after kB"; fi

head -c 300000000 /dev/zero >"$upload"
expect 'a body over the limit' 413 "$(status_of --header 'Expect:' --data-binary "@$upload" "$url/echo")"
long=$(head -c 100000 /dev/zero | tr '\0' a)
expect 'a field over the limit' 431 "$(status_of --header @<(echo "X-Long: $long") "$url/plaintext")"
rm -f "$upload"

stop_server
