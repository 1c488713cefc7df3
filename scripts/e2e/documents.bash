# Each command that README.md and docs/bench show, as a reader types it, but for ports, lengths and folders. Sourced by run.
# shellcheck shell=bash disable=SC2154,SC2016

# Where the commands run: nothing of the repository is written to.
reader=$(mktemp -d)
mkdir "$reader/bin"
ln -s "$(realpath "$executable")" "$reader/bin/covet-bench"
ln -s "$PWD/claims" "$reader/claims"
children=()

# shell_blocks FILE: the lines of its blocks of `sh`, those that end with a backslash joined, without comments.
shell_blocks() {
  awk '/^```sh$/ {inside = 1; next} /^```/ {inside = 0} inside' "$1" |
    sed -e ':a' -e '/\\$/ {N; s/\\\n//; ba' -e '}' -e 's/  *#.*$//' -e '/^$/d'
}

# Two ports that are free, and are not among those that the kernel gives to whoever connects: a load of thousands of
# connections would take them now and then, while no server has them.
read -r port_a port_b < <(python3 - <<'END'
import random
import socket

with open("/proc/sys/net/ipv4/ip_local_port_range") as given:
    low, high = map(int, given.read().split())
candidates = [port for port in range(10000, 65536) if not low <= port <= high] or range(low, high + 1)
sockets = []
while len(sockets) < 2:
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", random.choice(candidates)))
        sockets.append(candidate)
    except OSError:
        candidate.close()
print(*(taken.getsockname()[1] for taken in sockets))
END
)

# shorter COMMAND: the same for a machine that has other things to do, and on ports that are free.
shorter() {
  sed -e "s/:8080/:$port_a/g" -e "s/:8081/:$port_b/g" -e 's/-d *[0-9]*s/-d 1s/' -e 's/-n 1m/-n 20k/' \
    -e 's/-R 50k/-R 2k/' -e 's/-R 20k/-R 2k/' -e 's/10k,20k,40k/1k,2k,4k/' -e 's/2s:1k,2s:1k..2k/1s:1k,1s:1k..2k/' -e 's/--repeats 5/--repeats 2/' \
    -e 's#target/release/covet-bench#covet-bench#' -e "s#/usr/local/share#$reader/share#" \
    -e "s#/etc/bash_completion.d/#$reader/#" <<<"$1"
}

# typed DOCUMENT COMMAND STATUS...: it ends with one of the statuses.
typed() {
  local what="$1: $2" command status=0
  command=$(shorter "$2")
  shift 2
  (cd "$reader" && PATH=$reader/bin:$PATH timeout 240 bash -c "$command") >"$reader/out" 2>&1 || status=$?
  if [[ " $* " == *" $status "* ]]; then pass; else fail "$what" "exit status $status: $(tail -n 3 "$reader/out")"; fi
  if grep -q panicked "$reader/out"; then fail "$what" "$(cat "$reader/out")"; else pass; fi
}

# serving DOCUMENT COMMAND: it says where it listens, and serves until the end.
serving() {
  local command
  command=$(shorter "${2%&*}")
  : >"$reader/listening"
  (cd "$reader" && PATH=$reader/bin:$PATH exec bash -c "exec $command") >"$reader/listening" 2>&1 &
  children+=($!)
  for _ in $(seq 600); do
    grep -q '^listening on ' "$reader/listening" && pass && return
    sleep 0.1
  done
  fail "$1: $2" "$(cat "$reader/listening")"
}

listens() {
  (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

end_children() {
  kill "${children[@]}" 2>/dev/null || true
  wait "${children[@]}" 2>/dev/null || true
  children=()
}

# A run may be INVALID on a busy machine, which is no fault of the document.
measured='0 97'
judged='0 95 96 97 98 99'

typed_lines=0
for document in README.md docs/bench/{tutorial,load,bundles,distributed,reports,reading-a-verdict}.md; do
  # These pages take a server for granted.
  case $document in
    *load.md | *bundles.md | *reports.md | *verdict.md) serving "$document" 'covet-bench serve --listen 127.0.0.1:8080 --cores 0' ;;
  esac
  while IFS= read -r command; do
    typed_lines=$((typed_lines + 1))
    # shellcheck disable=SC2086 # the statuses are several words
    case $command in
      # Their server is another program: a WebSocket server is loaded in the crate's own tests.
      *'covet-bench run ws://'* | *'covet-bench run wss://'*) ;;
      *'covet-bench serve --listen 127.0.0.1:8080 '* | *'covet-bench null '*) serving "$document" "$command" ;;
      # The server of the page on comparisons: a second one.
      *'covet-bench ab --a '*)
        listens "$port_b" || serving "$document" 'covet-bench null --listen 127.0.0.1:8081'
        typed "$document" "$command -d 500ms --pairs 2" $judged ;;
      *'covet-bench run '*' >result.json || '*) typed "$document" "$command" 0 ;;
      # A machine that has other things to do misses a threshold, which is no fault of the document either.
      *'covet-bench run '*' --threshold '*) typed "$document" "$command" $measured 99 ;;
      *'covet-bench run '*) typed "$document" "$command" $measured ;;
      *'covet-bench max '* | *'covet-bench rate '*) typed "$document" "$command -d 300ms" $judged ;;
      *'covet-bench selfcheck stats'*) typed "$document" "$command --short" 0 ;;
      *'covet-bench plan '* | *'covet-bench import '* | 'wrk '*) typed "$document" "$command" 0 ;;
      *'covet-bench merge '* | *'covet-bench compat '*) typed "$document" "$command" $measured ;;
      # A machine of which others use something has other figures than it should.
      'covet-bench selfcheck') ;;
      *'covet-bench compare '*) typed "$document" "$command" $judged ;;
      'covet-bench export '*) typed "$document" "$command" $judged ;;
      *'covet-bench verify claims/covetpy.toml'*) typed "$document" "$command --short" $judged ;;
      *'covet-bench verify '*' --url '*) typed "$document" "$command --short" $judged ;;
      'covet-bench man '* | 'covet-bench completions '*) typed "$document" "$command" 0 ;;
      # In tests/locust_master.rs and deploy_job.rs, with a master and a bucket on this machine.
      'pip install locust' | 'locust '* | *'covet-bench worker '* | 'kubectl '* | 'RESULTS='*) ;;
      # Elsewhere: TLS, takeovers and proxies in tests/serve_*.rs; memory, soak, overhead and claims with a command in
      # tests/soak.rs and verify.rs; peers in scripts/check-peers; the main job and what builds in .ci/run.
      *' serve --tls '* | *' serve --listen 127.0.0.1:8443 '* | *' serve --listen 0.0.0.0:443 '* | *' serve --trust '* | \
        *' serve --unix '* | *' serve --handover '* | 'kill -HUP PID'* | *' memory '* | *' soak '* | *' --server-cmd '* | \
        *' overhead '* | *' peers'* | 'cargo '* | 'scripts/test'* | 'covet-bench') ;;
      *) fail "$document: $command" 'scripts/e2e/documents.bash does not know how to run it' ;;
    esac
  done < <(shell_blocks "$document")
  end_children
  rm -rf "$reader"/{before,after,together,ten-runs,by-wrk}*
done
if ((typed_lines > 60)); then pass; else fail documents "only $typed_lines commands were found"; fi

# What was made on the way: pages, manual, completions, a result that programs read.
expect 'status in a script' 'covet-bench.run/1' \
  "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["schema"])' "$reader/result.json")"
page=$(man --local-file "$reader/share/man/man1/covet-bench-run.1" 2>&1 | col -bx | tr -s ' ')
expect_part 'the manual of run' 'covet-bench run [-c|--connections]' "$page"
expect_part 'its options' '--pipeline' "$page"
for shell in bash zsh fish; do
  "$executable" completions "$shell" >"$reader/completions"
  if "$shell" -n "$reader/completions"; then pass; else fail "completions for $shell" 'the shell cannot read them'; fi
done
rm -rf "$reader"
