# Every route and method, with curl. Sourced by run.
# shellcheck shell=bash disable=SC2154

start_server

head=$(fetch --include "$url/plaintext" | tr -d '\r')
expect_part 'plaintext status' 'HTTP/1.1 200 OK' "$head"
expect_part 'plaintext length' 'content-length: 13' "$head"
expect_part 'plaintext type' 'content-type: text/plain' "$head"
expect_part 'plaintext server' 'server: ' "$head"
expect_part 'plaintext date' ' GMT' "$head"
expect 'plaintext body' 'Hello, World!' "$(fetch "$url/plaintext")"

expect 'json body' '{"message":"Hello, World!"}' "$(fetch "$url/json")"
expect_part 'json type' 'content-type: application/json' "$(fetch --head "$url/json")"
expect 'user' 'ada' "$(fetch "$url/user/ada")"

expect 'root GET' 'OK' "$(fetch "$url/")"
expect 'root OPTIONS' 'OK' "$(fetch --request OPTIONS "$url/")"
expect_part 'root HEAD' 'content-length: 2' "$(fetch --head "$url/")"
for method in POST PUT PATCH; do
  expect "root $method" "sent by $method" "$(fetch --request $method --data "sent by $method" "$url/")"
done

expect_part 'headers' 'X-Test: some value' "$(fetch --header 'X-Test: some value' "$url/headers")"
expect '204' 204 "$(status_of "$url/204")"
expect '304' 304 "$(status_of "$url/304")"
expect 'unknown path' 404 "$(status_of "$url/unknown")"
expect 'HEAD of an unknown path' 404 "$(status_of --head "$url/unknown")"

for target in /plaintext /json /user/1 /headers /big /; do
  refused=$(fetch --include --request DELETE "$url$target")
  expect_part "DELETE $target" 'HTTP/1.1 405' "$refused"
  expect_part "Allow of $target" 'allow: ' "$refused"
done
expect 'GET of echo' 405 "$(status_of "$url/echo")"

expect 'HTTP/1.0' 'Hello, World!' "$(fetch --http1.0 "$url/plaintext")"
expect 'one connection for three requests' '1 0 0 ' \
  "$(fetch --output /dev/null --output /dev/null --output /dev/null --write-out '%{num_connects} ' \
    "$url/plaintext" "$url/json" "$url/user/1")"

stop_server
